import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { bundleProgram, sourcesToBundle } from "./index.ts";

const checkout = join(import.meta.dirname, "../..");
let root: string;

/** The sources of a small program that starts a thread, and imports a module and a CommonJS package on demand. */
const sources: Readonly<Record<string, string>> = {
  "src/cmd/main.ts": `
    import { Worker } from "node:worker_threads";
    import { loadPackage, packageRoot, programFile, sourceStack } from "../base/index.ts";
    process.on("uncaughtExceptionMonitor", (error) => (error.stack = sourceStack(error)));
    const verbs: Record<string, () => Promise<void>> = {
      later: async () => console.log((await import("./later.ts")).later, packageRoot()),
      package: async () => console.log((await import("yaml")).parse("a: 1")),
      shared: async () => {
        const yaml = await import("yaml");
        const loaded = loadPackage<typeof yaml>("yaml");
        console.log(loaded.Document === yaml.Document, yaml.parse("a: !!binary QQ==").a.toString());
      },
      thread: async () => void new Worker(programFile("src/part/echo.worker.ts")).on("message", (m) => console.log(m)),
      fail: async () => (await import("./later.ts")).fail(),
    };
    await verbs[process.argv[2] ?? ""]?.();
  `,
  "src/cmd/later.ts": `
    export const later: string = "loaded later";
    interface Unused { readonly line: number }

    export function fail(): never {
      throw new Error("on purpose");
    }
  `,
  "src/part/echo.worker.ts": `
    import { parentPort } from "node:worker_threads";
    parentPort?.postMessage("from the thread");
  `,
  "src/dashboard/web/layout.worker.ts": `throw new Error("a browser's");`,
  "package.json": `{ "name": "small", "type": "module", "dependencies": { "yaml": "*" } }`,
};

before(async () => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "serin-bundle-")));
  for (const [file, text] of Object.entries(sources)) {
    mkdirSync(join(root, file, ".."), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  cpSync(join(checkout, "src/base"), join(root, "src/base"), { recursive: true });
  symlinkSync(join(checkout, "node_modules"), join(root, "node_modules"));
  await bundleProgram(root, join(root, ".bundles/one"));
});
after(() => rmSync(root, { recursive: true, force: true }));

const main = (): string => join(root, ".bundles/one/cmd/main.js");

test("the program's processes and threads are entries, and the page's are not", () => {
  assert.deepEqual(sourcesToBundle(root), ["src/cmd/main.ts", "src/part/echo.worker.ts"]);
  assert.deepEqual(sourcesToBundle(checkout), [
    "src/cmd/main.ts",
    "src/cluster/store/writer.worker.ts",
    "src/controlplane/analysis/analysis.worker.ts",
    "src/controlplane/webhooks/review.worker.ts",
    "src/dashboard/server/requests/read-yaml.worker.ts",
    "src/proxy/wasm/module.worker.ts",
    "src/proxy/workers/data-path.worker.ts",
    "src/rollout/admission/review.worker.ts",
    "src/ztunnel/workers/data-path.worker.ts",
  ]);
});

test("a bundle loads modules on demand, and finds the package's root", () => {
  assert.equal(execFileSync(process.execPath, [main(), "later"], { encoding: "utf8" }), `loaded later ${root}\n`);
});

test("a package imported on demand has its named exports", () => {
  assert.equal(execFileSync(process.execPath, [main(), "package"], { encoding: "utf8" }), "{ a: 1 }\n");
});

test("a package of many files is one file, which import and loadPackage share, and which loads Node's modules", () => {
  const alone = mkdtempSync(join(tmpdir(), "serin-bundle-alone-"));
  try {
    // There are no packages near this directory, so everything must be in the bundle.
    cpSync(join(root, ".bundles/one"), join(alone, "src"), { recursive: true });
    writeFileSync(join(alone, "package.json"), `{ "type": "module" }`);
    const shared = execFileSync(process.execPath, [join(alone, "src/cmd/main.js"), "shared"], { encoding: "utf8" });
    assert.equal(shared, "true A\n");
  } finally {
    rmSync(alone, { recursive: true, force: true });
  }
});

test("a bundle starts its threads", () => {
  assert.equal(execFileSync(process.execPath, [main(), "thread"], { encoding: "utf8" }), "from the thread\n");
});

test("the stack of a fatal error names the sources", () => {
  const { stderr, status } = spawnSync(process.execPath, [main(), "fail"], { encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`Error: on purpose\n.*fail.*${root}/src/cmd/later\\.ts:6:\\d+`));
});
