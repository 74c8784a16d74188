import { userError } from "../../base/index.ts";

/**
 * Fails unless the process has its own network namespace, for tests that change addresses, routes and rules. Throws
 * unless the test runner has made one (`npm run test:netns` does, and sets `SERIN_OWN_NETWORK`).
 */
export function requireOwnNetwork(): void {
  if (process.env["SERIN_OWN_NETWORK"] === "1") return;
  throw userError(
    "script-failed",
    "this test changes the network namespace that it runs in, and must not change the machine's",
    { hint: "npm run test:netns -- path/to/it.netns.test.ts" },
  );
}
