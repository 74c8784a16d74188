import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:tls";
import { test } from "node:test";
import { TestAuthority } from "../../net/testing/index.ts";
import type { Store } from "../store/index.ts";
import { WebhookClient } from "./webhook-client.ts";
import type { Webhook } from "./webhook-configurations.ts";

/** The error of a review if the webhook answers with these bytes. */
async function reviewBy(answer: (socket: Socket) => void): Promise<unknown> {
  const authority = await TestAuthority.create();
  const issued = await authority.issue({ dns: "localhost" });
  const server = createServer({ cert: issued.certificateChain, key: issued.privateKey }, (socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => answer(socket));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const webhook = {
    timeoutSeconds: 5,
    clientConfig: {
      url: `https://localhost:${(server.address() as AddressInfo).port}/`,
      caBundle: Buffer.from(issued.roots).toString("base64"),
    },
  } as unknown as Webhook;
  try {
    return await new WebhookClient({} as Store).call(webhook, { request: { uid: "1" } });
  } finally {
    server.close();
  }
}

test("a webhook that switches protocols fails at once, so that its policy for failures decides", async () => {
  await assert.rejects(
    reviewBy((socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    }),
    /switched to another protocol/,
  );
});

test("a webhook that sends interim responses without an end fails at once", async () => {
  await assert.rejects(
    reviewBy((socket) => {
      const sendOn = (): void => {
        while (!socket.destroyed && socket.write("HTTP/1.1 102 Processing\r\n\r\n"));
      };
      socket.on("drain", sendOn);
      sendOn();
    }),
    /more than 100 interim responses/,
  );
});
