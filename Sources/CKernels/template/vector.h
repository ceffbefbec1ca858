// Vectors of REAL, VECTOR_BYTES wide, for loops the compiler does not vectorise well by itself.

#if IS_DOUBLE
#define LANES (VECTOR_BYTES / 8)
#else
#define LANES (VECTOR_BYTES / 4)
#endif

#define INLINE static inline __attribute__((always_inline))
#define VEC FN(vec)

typedef REAL VEC __attribute__((ext_vector_type(LANES)));

INLINE VEC FN(load)(const REAL *p) {
  VEC v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

INLINE void FN(store)(REAL *p, VEC v) { __builtin_memcpy(p, &v, sizeof v); }

// Halves are folded onto each other, down to two lanes: the order of the sum is fixed.
#if LANES == 16
#define FOLD(v, op)                       \
  __auto_type by8 = op((v).lo, (v).hi);   \
  __auto_type by4 = op(by8.lo, by8.hi);   \
  __auto_type by2 = op(by4.lo, by4.hi);
#elif LANES == 8
#define FOLD(v, op)                       \
  __auto_type by4 = op((v).lo, (v).hi);   \
  __auto_type by2 = op(by4.lo, by4.hi);
#elif LANES == 4
#define FOLD(v, op) __auto_type by2 = op((v).lo, (v).hi);
#else
#define FOLD(v, op) __auto_type by2 = v;
#endif

#define PLUS(a, b) ((a) + (b))
#define LARGER(a, b) ((a) > (b) ? (a) : (b))

INLINE REAL FN(lane_sum)(VEC v) {
  KERNEL_FP
  FOLD(v, PLUS)
  return by2.x + by2.y;
}

INLINE REAL FN(lane_max)(VEC v) {
  FOLD(v, LARGER)
  return LARGER(by2.x, by2.y);
}
