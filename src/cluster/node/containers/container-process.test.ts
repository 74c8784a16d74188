import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { SerinError } from "../../../base/index.ts";
import { startedPid } from "./container-process.ts";
import { startInContainer } from "./starter.ts";

test("a process that the kernel refuses is a transient error, and does not end the node's process", async () => {
  const refused = spawn("/nonexistent/program", []);
  assert.throws(
    () => startedPid(refused),
    (error) =>
      error instanceof SerinError &&
      error.kind === "transient" &&
      error.message.startsWith("the kernel refused to start /nonexistent/program"),
  );
  // The error event of the refused start comes in this turn. Without a listener, Node.js would throw the error, and the
  // test would fail.
  await new Promise((resolve) => setImmediate(resolve));
});

test("a process that starts has its id", async () => {
  const child = spawn("/bin/true", []);
  assert.equal(startedPid(child), child.pid);
  await once(child, "exit");
});

test("a capability that does not exist is an error of the user, which names it", () => {
  const command = {
    mount: 0,
    rights: { privileged: false, capabilities: ["fly"], user: 0, group: 0, noNewPrivileges: false },
    ownProc: undefined,
    ownsTerminal: false,
    argv: ["/bin/true"],
    environment: {},
    stdio: ["ignore", "ignore", "ignore"],
    exitDescriptor: undefined,
  } as const;
  assert.throws(() => startInContainer(command), /there is no capability "FLY"; expected a name such as NET_ADMIN/);
});
