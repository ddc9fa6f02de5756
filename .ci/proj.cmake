# How .ci/run builds PROJ for its tests: without optimisation and many files at once, a third of the processor time of PROJ's own way.
# For tests only: `cargo build --features proj` does not read this.
set(CMAKE_UNITY_BUILD ON)
set(CMAKE_C_FLAGS_MINSIZEREL "-O0")
set(CMAKE_CXX_FLAGS_MINSIZEREL "-O0")
