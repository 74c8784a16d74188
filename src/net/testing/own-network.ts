import { userError } from "../../base/index.ts";

/**
 * Throws an error unless the test runner has made a network namespace for this process, as `npm run test:netns` does
 * (it sets `SERIN_OWN_NETWORK`). Tests that change addresses, routes or rules must call it.
 */
export function requireOwnNetwork(): void {
  if (process.env["SERIN_OWN_NETWORK"] === "1") return;
  throw userError(
    "script-failed",
    "this test changes the network namespace that it runs in, and must not change the machine's",
    { hint: "npm run test:netns -- path/to/it.netns.test.ts" },
  );
}
