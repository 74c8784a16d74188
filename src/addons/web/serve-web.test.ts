import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import { html } from "./html.ts";
import { page } from "./page.ts";
import { htmlAnswer, serveWeb, textAnswer } from "./serve-web.ts";

const form = "query=1";
const head = `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${form.length}\r\n\r\n`;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("every answer says that a browser must run, embed and guess nothing", async () => {
  const port = await freePort();
  const ending = new AbortController();
  const listening = Promise.withResolvers<void>();
  const served = serveWeb(
    async ({ path }) => htmlAnswer(page({ title: path, lead: "", links: [], body: html`<p>${path}</p>` })),
    { host: "127.0.0.1", port, log: { ...silentLogger, info: () => listening.resolve() } },
    ending.signal,
  );
  await listening.promise;
  const shown = await fetch(`http://127.0.0.1:${port}/`);
  const [, style = ""] = /<style>([\s\S]*)<\/style>/.exec(await shown.text()) ?? [];
  const digest = createHash("sha256").update(style).digest("base64");
  const refused = await fetch(`http://127.0.0.1:${port}/`, { headers: { "sec-fetch-site": "cross-site" } });
  assert.equal(refused.status, 403);
  for (const { headers } of [shown, refused]) {
    assert.equal(
      headers.get("content-security-policy"),
      `default-src 'none'; style-src 'sha256-${digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    );
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("x-frame-options"), "DENY");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
  }
  ending.abort();
  await served;
});

test("forms whose bodies come late are answered in turns too", async () => {
  const port = await freePort();
  const ending = new AbortController();
  let round = 0;
  const count = (): void => {
    round += 1;
    if (!ending.signal.aborted) setImmediate(count);
  };
  count();
  const rounds: number[] = [];
  const listening = Promise.withResolvers<void>();
  const served = serveWeb(
    async () => {
      rounds.push(round);
      return textAnswer("x");
    },
    { host: "127.0.0.1", port, log: { ...silentLogger, info: () => listening.resolve() } },
    ending.signal,
  );
  await listening.promise;
  const clients = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const client = connect(port, "127.0.0.1");
      await once(client, "connect");
      client.write(head);
      return client;
    }),
  );
  // Wait until the server has processed all request heads, each of which takes it three turns of the event loop.
  for (let passed = 0; passed < 200; passed += 1) await new Promise((resolve) => setImmediate(resolve));
  for (const client of clients) client.write(form);
  await Promise.all(clients.map(async (client) => await once(client, "data")));
  assert.equal(new Set(rounds).size, 20);
  for (const client of clients) client.destroy();
  ending.abort();
  await served;
});
