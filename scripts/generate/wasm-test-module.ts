// Writes the modules of test/wasm from their texts. Run `node scripts/generate/wasm-test-module.ts` after changing a
// text. Needs npx, which runs the WebAssembly Binary Toolkit.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

const toolkit = "wabt@1.0.39";
const folder = join(import.meta.dirname, "../..", "test", "wasm");

for (const name of ["test-module", "header-injector"])
  execFileSync(
    "npx",
    ["-y", "-p", toolkit, "wat2wasm", join(folder, `${name}.wat`), "-o", join(folder, `${name}.wasm`)],
    { stdio: "inherit" },
  );
