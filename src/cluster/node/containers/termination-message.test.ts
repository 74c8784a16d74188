import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { terminationMessage } from "./termination-message.ts";

/** The termination message of a failed run. `prepare` first puts files into the node's directory. */
function messageAfter(prepare: (root: string) => void): string {
  const root = mkdtempSync(join(tmpdir(), "termination-message-"));
  try {
    prepare(root);
    return terminationMessage({
      container: { name: "app", terminationMessagePolicy: "FallbackToLogsOnError" },
      exitCode: 1,
      message: { root, path: join(root, "termination-log") },
      log: { root, path: join(root, "0.log") },
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}

test("a message file of ten gigabytes costs a node only its last 4,096 bytes, as in the kubelet", () => {
  const message = messageAfter((root) => {
    const path = join(root, "termination-log");
    writeFileSync(path, "first");
    truncateSync(path, 10 * 1024 ** 3);
    appendFileSync(path, "last");
  });
  assert.equal(message, `${"\0".repeat(4092)}last`);
});

test("a link in place of the log makes the message empty, not the content of another file", () => {
  const message = messageAfter((root) => {
    writeFileSync(join(root, "other.log"), "2026-01-01T00:00:00Z stdout F of the machine\n");
    symlinkSync("other.log", join(root, "0.log"));
  });
  assert.equal(message, "");
});

test("a failed run without a message gets the end of its log", () => {
  const message = messageAfter((root) =>
    writeFileSync(join(root, "0.log"), "2026-01-01T00:00:00Z stdout F out of memory\n"),
  );
  assert.equal(message, "out of memory\n");
});
