// The functions declared in the header come with the fuzzing runtime.
