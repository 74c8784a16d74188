import assert from "node:assert/strict";
import { fstatSync, mkdtempSync, openSync, closeSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { SeqpacketConnection, SeqpacketServer, type SeqpacketMessage } from "./seqpacket.ts";

function scratch(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "serin-seq-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "s.sock");
}

class Inbox {
  readonly closed: Promise<Error | undefined>;
  readonly #messages: SeqpacketMessage[] = [];
  readonly #waiting: ((message: SeqpacketMessage) => void)[] = [];

  constructor(connection: SeqpacketConnection) {
    this.closed = new Promise((resolve) => {
      connection.start({
        message: (message) => {
          const waiter = this.#waiting.shift();
          if (waiter === undefined) this.#messages.push(message);
          else waiter(message);
        },
        close: resolve,
      });
    });
  }

  next(): Promise<SeqpacketMessage> {
    const message = this.#messages.shift();
    return message === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(message);
  }
}

function connectedPair(
  path: string,
): Promise<{ server: SeqpacketServer; near: SeqpacketConnection; far: SeqpacketConnection }> {
  return new Promise((resolve) => {
    const server = SeqpacketServer.listen(path, (far) => resolve({ server, near, far }));
    const near = SeqpacketConnection.connect(path);
  });
}

test("messages keep their boundaries and carry descriptors of the same files", async (context) => {
  const { server, near, far } = await connectedPair(scratch(context));
  const inbox = new Inbox(far);
  const file = openSync("/proc/self/status", "r");
  near.send(Buffer.from("one"), [file, file, file]);
  near.send(Buffer.from("two"));
  const first = await inbox.next();
  assert.equal(first.bytes.toString(), "one");
  assert.deepEqual(
    first.descriptors.map((fd) => fstatSync(fd).ino),
    [1, 2, 3].map(() => fstatSync(file).ino),
  );
  assert.equal((await inbox.next()).bytes.toString(), "two");
  for (const fd of [...first.descriptors, file]) closeSync(fd);
  near.close();
  assert.equal(await inbox.closed, undefined);
  far.close();
  server.close();
});

test("messages beyond the kernel's buffer wait in order, and sent descriptors are reported", async (context) => {
  const { server, near, far } = await connectedPair(scratch(context));
  const file = openSync("/proc/self/status", "r");
  let gone = 0;
  for (let index = 0; index < 1000; index += 1) {
    const bytes = Buffer.alloc(2000);
    bytes.writeUInt32LE(index);
    near.send(bytes, [file], () => (gone += 1));
  }
  assert.ok(gone < 1000, "the kernel cannot hold all");
  const inbox = new Inbox(far);
  for (let index = 0; index < 1000; index += 1) {
    const message = await inbox.next();
    assert.equal(message.bytes.readUInt32LE(), index);
    for (const fd of message.descriptors) closeSync(fd);
  }
  assert.equal(gone, 1000);
  closeSync(file);
  near.close();
  far.close();
  server.close();
});

test("the path of a dead server is taken over, and that of a live server is not", async (context) => {
  const path = scratch(context);
  const { server, near, far } = await connectedPair(path);
  assert.throws(() => SeqpacketServer.listen(path, () => undefined), /EADDRINUSE/);
  near.close();
  far.close();
  server.close();
  assert.throws(() => SeqpacketConnection.connect(path), /ENOENT/);
});
