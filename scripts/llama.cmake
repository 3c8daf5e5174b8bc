# How llama.cpp is compiled for First Token. CMake includes this file at the beginning of
# llama-cpp-python's CMakeLists.txt (CMAKE_PROJECT_llama_cpp_INCLUDE); see scripts/setup.py.

# llama-cpp-python turns this library of command-line helpers on, and uses nothing of it. A normal
# variable takes precedence over the cache variable that it sets.
set(LLAMA_BUILD_COMMON OFF)

function(first_token_options)
  # GCC removes most of the stores to AMX's tile configuration before it is loaded, because it
  # does not see that `ldtilecfg` reads them (found with GCC 12). The processor then faults in the
  # first matrix multiplication. Without dead store elimination the stores stay. Only this file
  # loads a tile configuration, and it is empty for processors without AMX.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND TARGET ggml-cpu)
    set_source_files_properties(
      ${CMAKE_SOURCE_DIR}/vendor/llama.cpp/ggml/src/ggml-cpu/amx/mmq.cpp
      TARGET_DIRECTORY ggml-cpu
      PROPERTIES COMPILE_OPTIONS "-fno-tree-dse;-fno-dse")
  endif()

  # Instruction sets to leave out, after the proof of a model has failed: "amx" or "avx512".
  set(without_amx -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
  set(without_avx512 -mno-avx512f ${without_amx})
  if(FIRST_TOKEN_WITHOUT AND TARGET ggml-cpu)
    target_compile_options(ggml-cpu PRIVATE ${without_${FIRST_TOKEN_WITHOUT}})
  endif()
endfunction()

cmake_language(DEFER CALL first_token_options) # when all targets are known
