import assert from "node:assert/strict";
import { read as readDescriptor } from "node:fs";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { closeDescriptor, ioctl, openDescriptor, openFlags } from "../libc.ts";
import { terminalInput, terminalStream } from "./exec-session.ts";

const read = promisify(readDescriptor);
const unlock = 0x40045431;
const getNumber = 0x80045430;

/** A terminal on this machine, made in the same way as in a container. */
function openPair(): { master: number; slave: number } {
  const master = openDescriptor("/dev/ptmx", openFlags.readWrite | openFlags.noTty | openFlags.nonBlocking);
  ioctl(master, unlock, Buffer.alloc(4), "unlock terminal");
  const number = Buffer.alloc(4);
  ioctl(master, getNumber, number, "number of terminal");
  return { master, slave: openDescriptor(`/dev/pts/${number.readInt32LE(0)}`, openFlags.readWrite | openFlags.noTty) };
}

test("input that a terminal's program does not read yet does not block the node, and reaches the program when it reads", async (context) => {
  const { master, slave } = openPair();
  const screen = terminalStream({ master });
  // Read the terminal's echo, so that it does not fill the buffer.
  screen.resume();
  const keyboard = terminalInput({ master }, screen);
  context.after(() => {
    keyboard.destroy();
    screen.destroy();
    closeDescriptor(slave);
  });
  const line = Buffer.from(`${"x".repeat(999)}\n`);
  const sent = Buffer.concat(Array.from({ length: 500 }, () => line));
  keyboard.write(sent);
  await setImmediate();
  assert.equal(keyboard.writableLength, sent.length, "the kernel has not taken all of it");
  const received: Buffer[] = [];
  for (let length = 0; length < sent.length;) {
    const { bytesRead, buffer } = await read(slave, Buffer.alloc(4096), 0, 4096, null);
    received.push(buffer.subarray(0, bytesRead));
    length += bytesRead;
  }
  assert.ok(Buffer.concat(received).equals(sent));
  const whole = new Promise((resolve) => keyboard.end(resolve));
  await whole;
});

test("input for a terminal that is gone is dropped", async () => {
  const { master, slave } = openPair();
  const screen = terminalStream({ master });
  const keyboard = terminalInput({ master }, screen);
  screen.destroy();
  closeDescriptor(slave);
  await new Promise<void>((resolve) => keyboard.end(Buffer.from("x"), resolve));
  assert.equal(keyboard.writableLength, 0);
});
