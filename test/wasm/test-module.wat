;; A module for tests, written for Proxy-Wasm 0.2.1 without an SDK. The first letter of the header x-do says what it
;; does with a request. Built to test-module.wasm by scripts/generate/wasm-test-module.ts.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $read (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $write (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $share (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))

  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 4096))
  (global $metric (mut i32) (i32.const 0))
  (global $pending (mut i32) (i32.const 0))
  (global $slot (mut i32) (i32.const 0))

  (data (i32.const 16) "x-do")
  (data (i32.const 32) "content-length")
  (data (i32.const 64) "x-wasm")
  (data (i32.const 80) "x-path")
  (data (i32.const 96) "request\00path\00")
  (data (i32.const 112) "ticks")
  (data (i32.const 128) "x-ticks")
  (data (i32.const 144) "response")
  (data (i32.const 160) "test_requests")
  (data (i32.const 176) "denied")
  (data (i32.const 192) "x-called")
  (data (i32.const 208) "callee")
  (data (i32.const 224) ">")
  (data (i32.const 228) "!")
  (data (i32.const 240) "starts")
  (data (i32.const 248) "x-config")
  ;; The headers of the request to the callee: three pairs.
  (data (i32.const 264)
    "\03\00\00\00"
    "\07\00\00\00\03\00\00\00"
    "\05\00\00\00\06\00\00\00"
    "\0a\00\00\00\06\00\00\00"
    ":method\00GET\00"
    ":path\00/asked\00"
    ":authority\00callee\00")
  ;; 1024: where host functions write pointers and sizes; 1040: the count of ticks, as a digit. Behind the heap:
  ;; 118784 has a byte for each plugin and 122880 one for each stream, which say the slot of its configuration;
  ;; 126976 has eight slots of 256 bytes, each with a length and that many bytes.
  (data (i32.const 1040) "0")

  (func (export "proxy_abi_version_0_2_1"))

  ;; Before the heap is full, it begins again at its start, because nothing is kept from one call to the next.
  (func (export "malloc") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (if (i32.gt_u (i32.add (local.get $at) (local.get $size)) (i32.const 118784))
      (then
        (local.set $at (i32.const 4096))
        (if (i32.gt_u (local.get $size) (i32.const 114000)) (then (return (i32.const 0))))))
    (global.set $heap (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $at))

  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (drop (call $log (i32.const 2) (i32.const 240) (i32.const 6)))
    (i32.const 1))

  ;; A configuration of six bytes, such as "refuse", is refused.
  (func (export "proxy_on_configure") (param $root i32) (param $size i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 160) (i32.const 13) (i32.const 1024)))
    (global.set $metric (i32.load (i32.const 1024)))
    (drop (call $tick (i32.const 10)))
    (call $keep (local.get $root) (local.get $size))
    (i32.ne (local.get $size) (i32.const 6)))

  ;; Keeps the first 252 bytes of a plugin's configuration.
  (func $keep (param $root i32) (param $size i32)
    (local $at i32)
    (global.set $slot (i32.and (i32.add (global.get $slot) (i32.const 1)) (i32.const 7)))
    (i32.store8 offset=118784 (i32.and (local.get $root) (i32.const 4095)) (global.get $slot))
    (local.set $at (i32.add (i32.const 126976) (i32.mul (global.get $slot) (i32.const 256))))
    (i32.store (local.get $at) (i32.const 0))
    (if (i32.gt_u (local.get $size) (i32.const 252)) (then (local.set $size (i32.const 252))))
    (if (i32.eqz (local.get $size)) (then (return)))
    (if (call $read (i32.const 7) (i32.const 0) (local.get $size) (i32.const 1024) (i32.const 1028)) (then (return)))
    (memory.copy (i32.add (local.get $at) (i32.const 4)) (i32.load (i32.const 1024)) (i32.load (i32.const 1028)))
    (i32.store (local.get $at) (i32.load (i32.const 1028))))

  (func (export "proxy_on_context_create") (param $context i32) (param $parent i32)
    (i32.store8 offset=122880
      (i32.and (local.get $context) (i32.const 4095))
      (i32.load8_u offset=118784 (i32.and (local.get $parent) (i32.const 4095)))))

  (func (export "proxy_on_tick") (param i32)
    (if (i32.lt_u (i32.load8_u (i32.const 1040)) (i32.const 57))
      (then (i32.store8 (i32.const 1040) (i32.add (i32.load8_u (i32.const 1040)) (i32.const 1)))))
    (drop (call $share (i32.const 112) (i32.const 5) (i32.const 1040) (i32.const 1) (i32.const 0))))

  (func (export "proxy_on_request_headers") (param $context i32) (param i32) (param i32) (result i32)
    (local $do i32)
    (drop (call $increment (global.get $metric) (i64.const 1)))
    (drop (call $remove (i32.const 0) (i32.const 32) (i32.const 14)))
    (if (i32.eqz (call $property (i32.const 96) (i32.const 13) (i32.const 1024) (i32.const 1028)))
      (then
        (drop (call $add (i32.const 0) (i32.const 80) (i32.const 6) (i32.load (i32.const 1024)) (i32.load (i32.const 1028))))))
    (if (call $get (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 1024) (i32.const 1028))
      (then (return (i32.const 0))))
    (local.set $do (i32.load8_u (i32.load (i32.const 1024))))
    ;; deny
    (if (i32.eq (local.get $do) (i32.const 100))
      (then
        (drop (call $reply (i32.const 403) (i32.const 176) (i32.const 6) (i32.const 176) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const -1)))
        (return (i32.const 1))))
    ;; call
    (if (i32.eq (local.get $do) (i32.const 99))
      (then
        (global.set $pending (local.get $context))
        (drop (call $call (i32.const 208) (i32.const 6) (i32.const 264) (i32.const 71) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2000) (i32.const 1024)))
        (return (i32.const 1))))
    ;; loop
    (if (i32.eq (local.get $do) (i32.const 108)) (then (loop $again (br $again))))
    ;; trap
    (if (i32.eq (local.get $do) (i32.const 116)) (then (unreachable)))
    ;; memory: grows until the host refuses, and traps
    (if (i32.eq (local.get $do) (i32.const 109))
      (then
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 256)) (i32.const -1))))
        (unreachable)))
    (i32.const 0))

  (func (export "proxy_on_request_body") (param i32) (param $size i32) (param $end i32) (result i32)
    (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
    (drop (call $write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 224) (i32.const 1)))
    (i32.const 0))

  (func (export "proxy_on_http_call_response") (param i32 i32 i32) (param $size i32) (param i32)
    (drop (call $read (i32.const 4) (i32.const 0) (local.get $size) (i32.const 1024) (i32.const 1028)))
    (drop (call $effective (global.get $pending)))
    (drop (call $add (i32.const 0) (i32.const 192) (i32.const 8) (i32.load (i32.const 1024)) (i32.load (i32.const 1028))))
    (drop (call $continue (i32.const 0))))

  (func (export "proxy_on_response_headers") (param $context i32) (param i32 i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.add
        (i32.const 126976)
        (i32.mul (i32.load8_u offset=122880 (i32.and (local.get $context) (i32.const 4095))) (i32.const 256))))
    (if (i32.load (local.get $at))
      (then
        (drop (call $add (i32.const 2) (i32.const 248) (i32.const 8) (i32.add (local.get $at) (i32.const 4)) (i32.load (local.get $at))))))
    (drop (call $remove (i32.const 2) (i32.const 32) (i32.const 14)))
    (drop (call $add (i32.const 2) (i32.const 64) (i32.const 6) (i32.const 144) (i32.const 8)))
    (if (i32.eqz (call $shared (i32.const 112) (i32.const 5) (i32.const 1024) (i32.const 1028) (i32.const 1032)))
      (then
        (drop (call $add (i32.const 2) (i32.const 128) (i32.const 7) (i32.load (i32.const 1024)) (i32.load (i32.const 1028))))))
    (i32.const 0))

  (func (export "proxy_on_response_body") (param i32) (param $size i32) (param $end i32) (result i32)
    (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
    (drop (call $write (i32.const 1) (i32.const 2147483647) (i32.const 0) (i32.const 228) (i32.const 1)))
    (i32.const 0)))
