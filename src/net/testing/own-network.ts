import { userError } from "../../base/index.ts";

/** For tests that set addresses, routes and rules of the namespace that they run in: throws where nobody made one for them (`npm run test:netns` does, and says so by `SERIN_OWN_NETWORK`). */
export function requireOwnNetwork(): void {
  if (process.env["SERIN_OWN_NETWORK"] === "1") return;
  throw userError(
    "own-network",
    "this test changes the network namespace that it runs in, and must not change the machine's",
    { hint: "npm run test:netns -- path/to/it.netns.test.ts" },
  );
}
