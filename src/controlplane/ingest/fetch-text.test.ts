import assert from "node:assert/strict";
import { createServer } from "node:https";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestAuthority } from "../../net/testing/index.ts";
import { fetchTextTrusting } from "./fetch-text.ts";
import { keySetRoots } from "./key-set-roots.ts";

test("key sets are fetched over HTTPS from servers of additional roots, also after a redirect, and from no others", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-key-sets-"));
  const authority = await TestAuthority.create();
  const issued = await authority.issue({ dns: "localhost" });
  const server = createServer({ cert: issued.certificateChain, key: issued.privateKey }, (request, response) => {
    if (request.url === "/moved") response.writeHead(302, { location: "/keys" }).end();
    else if (request.url === "/keys") response.end('{"keys":[]}');
    else if (request.url === "/round") response.writeHead(302, { location: "/round" }).end();
    else response.writeHead(404).end();
  });
  try {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const origin = `https://localhost:${(server.address() as AddressInfo).port}`;
    const file = join(directory, "extra.pem");
    const get = async (path: string) =>
      await fetchTextTrusting(`${origin}${path}`, AbortSignal.timeout(10_000), () => keySetRoots(file));
    await assert.rejects(get("/keys"));
    writeFileSync(file, issued.roots);
    assert.equal(await get("/keys"), '{"keys":[]}');
    assert.equal(await get("/moved"), '{"keys":[]}');
    await assert.rejects(get("/none"), /\/none answered 404/);
    await assert.rejects(get("/round"), /redirected more than 5 times/);
    writeFileSync(file, (await TestAuthority.create()).roots);
    await assert.rejects(get("/keys"), /certificate/);
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
});
