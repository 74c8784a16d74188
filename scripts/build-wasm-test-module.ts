// Writes test/wasm/test-module.wasm from test/wasm/test-module.wat; run as `node scripts/build-wasm-test-module.ts`
// after changing the text. Needs npx, which runs the WebAssembly Binary Toolkit.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

const toolkit = "wabt@1.0.39";
const folder = join(import.meta.dirname, "..", "test", "wasm");

execFileSync(
  "npx",
  ["-y", "-p", toolkit, "wat2wasm", join(folder, "test-module.wat"), "-o", join(folder, "test-module.wasm")],
  { stdio: "inherit" },
);
