import { outcomeAt } from "../testing/denied-client.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { listenTcp, type ByteStream } from "../../net/index.ts";
import { DeniedConnections } from "./denied-connections.ts";

async function served(accept: (stream: ByteStream) => void, ask: (port: number) => Promise<void>): Promise<void> {
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
    // After this delay, the kernel holds unread bytes of the client, as it does while a policy is evaluated.
    setTimeout(() => accept(stream), 50);
  });
  await ask(listener.address.port);
  listener.close();
}

test("a client whose connection is denied sees the end of the stream and no reset, although its bytes were not read", async () => {
  const denied = new DeniedConnections(systemClock);
  await served(
    (stream) => denied.end(stream),
    async (port) => assert.equal(await outcomeAt(port), "end"),
  );
});

test("at most 256 denied connections linger, and further ones close at once", async () => {
  const denied = new DeniedConnections(systemClock);
  let closed = 0;
  const stubborn = (): ByteStream =>
    ({
      setHandler: ({ close }: { close: () => void }) => void (onClose = close),
      resume: () => undefined,
      end: () => undefined,
      destroy: () => {
        closed += 1;
        onClose();
      },
    }) as unknown as ByteStream;
  let onClose: () => void = () => undefined;
  for (let count = 0; count < 256; count += 1) denied.end(stubborn());
  assert.equal(closed, 0);
  denied.end(stubborn());
  assert.equal(closed, 1);
});
