import assert from "node:assert/strict";
import { test } from "node:test";
import { encodings } from "./index.ts";

test("a system call whose number is in a register moves it to the kernel's register", () => {
  const bytes = Object.entries(encodings).map(([name, encoding]) => [
    name,
    Buffer.from(encoding.systemCallOf(1)).toString("hex"),
  ]);
  assert.deepEqual(bytes, [
    // mov rax, rbp; syscall
    ["x64", "4889e80f05"],
    // mov x8, x20; svc 0
    ["arm64", "e80314aa010000d4"],
  ]);
});
