// Runs the steps of `npm run check`. Each counts as one case.
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const checks: Readonly<Record<string, readonly string[]>> = {
  format: ["node_modules/.bin/oxfmt", "--check", "."],
  types: [process.execPath, "node_modules/typescript-native/bin/tsc", "-p", "."],
  "types of the page": [process.execPath, "node_modules/typescript-native/bin/tsc", "-p", "src/dashboard/web"],
  lint: ["node_modules/.bin/oxlint", "--type-aware"],
  "import rules": ["node_modules/.bin/depcruise", "src"],
  "folder circles": [process.execPath, "scripts/check-folder-circles.ts"],
  "dead code": ["node_modules/.bin/knip"],
};
const checkTimeoutMs = 180_000;

/** Runs the checks and prints their failures. */
export function runChecks(root: string): { readonly passed: number; readonly failed: number } {
  let [passed, failed] = [0, 0];
  for (const [name, [program = "", ...args]] of Object.entries(checks)) {
    // Their first line starts `node` from PATH. It must be the Node that runs this script.
    const env = { ...process.env, PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"] ?? ""}` };
    const options = { cwd: root, env, encoding: "utf8", timeout: checkTimeoutMs } as const;
    const { status, stdout, stderr, error } = spawnSync(program, args, options);
    if (status === 0) {
      passed += 1;
      continue;
    }
    failed += 1;
    process.stdout.write(`FAILED  ${name}: ${error?.message ?? `exit ${status}`}\n${stdout}${stderr}\n`);
  }
  return { passed, failed };
}
