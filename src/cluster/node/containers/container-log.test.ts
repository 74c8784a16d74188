import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../../base/index.ts";
import { ContainerLog, readLogText } from "./container-log.ts";

const everything = {
  follow: false,
  timestamps: false,
  tailLines: undefined,
  sinceMs: undefined,
  limitBytes: undefined,
};

test("lines after a full disk are complete, even if the previous line was written partially", () => {
  const directory = mkdtempSync(join(tmpdir(), "container-log-"));
  // The remaining space in bytes: for the first line and a part of the second.
  let room = 90;
  const write = (descriptor: number, bytes: Buffer): number => {
    if (room === 0) throw new Error("ENOSPC: no space left on device");
    const written = writeSync(descriptor, bytes, 0, Math.min(room, bytes.length));
    room -= written;
    return written;
  };
  try {
    const path = join(directory, "0.log");
    const place = { root: directory, path };
    const log = new ContainerLog(place, systemClock, write);
    for (const line of ["first", "second", "third"]) log.append(Buffer.from(`${line}\n`));
    room = 1_000;
    log.append(Buffer.from("fourth\n"));
    log.end();
    const lines = readLogText(place, everything).split("\n");
    assert.equal(lines[0], "first");
    assert.ok(lines.includes("fourth"), lines.join(" | "));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a log that cannot be rotated continues in the same file", () => {
  const directory = mkdtempSync(join(tmpdir(), "container-log-"));
  try {
    const path = join(directory, "0.log");
    const place = { root: directory, path };
    mkdirSync(join(`${path}.1`, "occupied"), { recursive: true });
    const log = new ContainerLog(place, systemClock);
    log.append(Buffer.concat([Buffer.alloc(11 * 1024 * 1024, "x"), Buffer.from("\n")]));
    log.append(Buffer.from("after the rotation\n"));
    log.end();
    rmSync(`${path}.1`, { recursive: true });
    assert.equal(readLogText(place, { ...everything, tailLines: 1 }), "after the rotation\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a link in place of a log file or of its directory leads no line out of the node's directory", () => {
  const directory = mkdtempSync(join(tmpdir(), "container-log-"));
  try {
    const outside = join(directory, "outside");
    const root = join(directory, "node");
    mkdirSync(outside);
    mkdirSync(join(root, "pod/app"), { recursive: true });
    writeFileSync(join(outside, "victim"), "2026-01-01T00:00:00Z stdout F of the machine\n");
    symlinkSync("../../../outside/victim", join(root, "pod/app/0.log"));
    symlinkSync("../../outside", join(root, "pod/other"));
    for (const path of [join(root, "pod/app/0.log"), join(root, "pod/other/0.log")]) {
      const log = new ContainerLog({ root, path }, systemClock);
      log.append(Buffer.from("of the pod\n"));
      log.end();
      assert.throws(() => readLogText({ root, path }, everything), /a link or another file stands where the node/);
    }
    assert.equal(readFileSync(join(outside, "victim"), "utf8"), "2026-01-01T00:00:00Z stdout F of the machine\n");
    assert.equal(existsSync(join(outside, "0.log")), false);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a log begins as soon as the link in its place is gone", () => {
  const root = mkdtempSync(join(tmpdir(), "container-log-"));
  try {
    const path = join(root, "0.log");
    symlinkSync("elsewhere", path);
    const log = new ContainerLog({ root, path }, systemClock);
    log.append(Buffer.from("lost\n"));
    rmSync(path);
    log.append(Buffer.from("kept\n"));
    log.end();
    assert.equal(readLogText({ root, path }, everything), "kept\n");
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("a reader gets the end of a log that a pod has made ten gigabytes large", () => {
  const root = mkdtempSync(join(tmpdir(), "container-log-"));
  try {
    const path = join(root, "0.log");
    const log = new ContainerLog({ root, path }, systemClock);
    log.append(Buffer.from("first\n"));
    truncateSync(path, 10 * 1024 ** 3);
    log.append(Buffer.from("\nlast\n"));
    log.end();
    assert.equal(readLogText({ root, path }, { ...everything, tailLines: 1 }), "last\n");
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("a follower that does not read is cut off, and one that reads gets all lines", async () => {
  const directory = mkdtempSync(join(tmpdir(), "container-log-"));
  const never = new AbortController();
  const stalled = Promise.withResolvers<void>();
  try {
    const log = new ContainerLog({ root: directory, path: join(directory, "0.log") }, systemClock);
    const follow = { ...everything, follow: true };
    let taken = 0;
    const reader = log.read(follow, (text) => void (taken += text.length), never.signal);
    let isFirst = true;
    const slow = log.read(
      follow,
      async () => {
        if (isFirst) await setImmediate();
        else await stalled.promise;
        isFirst = false;
      },
      never.signal,
    );
    const cutOff = assert.rejects(slow, { code: "busy" });
    const chunk = Buffer.from("x".repeat(1_023) + "\n");
    const chunks = 12 * 1_024;
    for (let count = 0; count < chunks; count += 1) {
      log.append(chunk);
      if (count % 1_024 === 0) await setImmediate();
    }
    stalled.resolve();
    await cutOff;
    log.end();
    await reader;
    assert.equal(taken, chunks * chunk.length);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
