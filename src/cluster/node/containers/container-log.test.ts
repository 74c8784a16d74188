import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
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
  // The disk has room for the first line and for a part of the second.
  let room = 90;
  const write = (descriptor: number, bytes: Buffer): number => {
    if (room === 0) throw new Error("ENOSPC: no space left on device");
    const written = writeSync(descriptor, bytes, 0, Math.min(room, bytes.length));
    room -= written;
    return written;
  };
  try {
    const path = join(directory, "0.log");
    const log = new ContainerLog(path, systemClock, write);
    for (const line of ["first", "second", "third"]) log.append(Buffer.from(`${line}\n`));
    room = 1_000;
    log.append(Buffer.from("fourth\n"));
    log.end();
    const lines = readLogText(path, everything).split("\n");
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
    mkdirSync(join(`${path}.1`, "occupied"), { recursive: true });
    const log = new ContainerLog(path, systemClock);
    log.append(Buffer.concat([Buffer.alloc(11 * 1024 * 1024, "x"), Buffer.from("\n")]));
    log.append(Buffer.from("after the rotation\n"));
    log.end();
    rmSync(`${path}.1`, { recursive: true });
    assert.equal(readLogText(path, { ...everything, tailLines: 1 }), "after the rotation\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
});
