;; A module for Istio's own tests: adds one header to each response. Its value is the module's version, which
;; test/interop/istio-suite/registry.ts changes for the second image. Built by scripts/generate/wasm-test-module.ts.
(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-resp-injection")
  (data (i32.const 32) "0.0.1")

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_context_create") (param i32 i32))
  ;; Map 2 has the headers of the response. Action 0 continues.
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 16) (i32.const 16) (i32.const 32) (i32.const 5)))
    (i32.const 0)))
