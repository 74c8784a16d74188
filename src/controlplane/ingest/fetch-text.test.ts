import assert from "node:assert/strict";
import dns, { type LookupAddress } from "node:dns";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer } from "node:https";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { cidrOf, isInsideAddress, type Network } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { EndlessAnswers } from "../../../test/support/endless-answers.ts";
import { TestAuthority } from "../../net/testing/index.ts";
import { fetchText, fetchTextWithin } from "./fetch-text.ts";
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
      await fetchTextWithin(`${origin}${path}`, AbortSignal.timeout(10_000), {
        additionalRoots: () => keySetRoots(file),
        blockedNetworks: [],
        isInside: () => false,
      });
    await assert.rejects(get("/keys"));
    writeFileSync(file, issued.roots);
    assert.equal(await get("/keys"), '{"keys":[]}');
    assert.equal(await get("/moved"), '{"keys":[]}');
    await assert.rejects(get("/none"), /\/none answered 404/);
    await assert.rejects(get("/round"), /redirected more than 10 times/);
    writeFileSync(file, (await TestAuthority.create()).roots);
    await assert.rejects(get("/keys"), /certificate/);
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
});

test("no key set is fetched from a blocked network: not by address, by name, by another notation or by a redirect", async () => {
  let requestCount = 0;
  const server = createHttpServer((request, response) => {
    requestCount += 1;
    if (request.url?.startsWith("/to/") === true)
      response.writeHead(302, { location: decodeURIComponent(request.url.slice("/to/".length)) }).end();
    else response.end('{"keys":[]}');
  });
  const blocking =
    (...cidrs: readonly string[]) =>
    async (url: string): Promise<string> =>
      await fetchTextWithin(url, AbortSignal.timeout(10_000), {
        additionalRoots: () => Promise.resolve(undefined),
        blockedNetworks: cidrs.map((cidr) => cidrOf(cidr) as Network),
        isInside: () => false,
      });
  try {
    await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
    const { port } = server.address() as AddressInfo;
    const get = blocking("127.0.0.0/9", "::1/128");
    for (const host of ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::1]"])
      await assert.rejects(get(`http://${host}:${port}/keys`), /BLOCKED_CIDRS_IN_JWKS_URIS/, host);
    assert.equal(requestCount, 0, "no request was sent");
    // Only the lower half of the loopback network is blocked, so this address is permitted.
    const open = `http://127.200.0.1:${port}`;
    assert.equal(await get(`${open}/keys`), '{"keys":[]}');
    assert.equal(await get(`${open}/to/${encodeURIComponent(`${open}/keys`)}`), '{"keys":[]}');
    for (const target of [`http://127.0.0.1:${port}/keys`, `http://localhost:${port}/keys`])
      await assert.rejects(get(`${open}/to/${encodeURIComponent(target)}`), /BLOCKED_CIDRS_IN_JWKS_URIS/, target);
    assert.equal(requestCount, 5);
    assert.equal(await blocking("10.0.0.0/8")(`http://localhost:${port}/keys`), '{"keys":[]}');
  } finally {
    server.close();
  }
});

async function withServer(listener: RequestListener, run: (port: number) => Promise<void>): Promise<void> {
  const server = createHttpServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await run((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** This fetch is allowed to reach the loopback. */
function getFrom(port: number, timeoutMs: number): (path: string) => Promise<string> {
  return async (path) =>
    await fetchTextWithin(`http://127.0.0.1:${port}${path}`, AbortSignal.timeout(timeoutMs), {
      additionalRoots: () => Promise.resolve(undefined),
      blockedNetworks: [],
      isInside: () => false,
    });
}

test("no key set is fetched from the control plane's own machine or its link, whatever networks are blocked", async () => {
  let requestCount = 0;
  await withServer(
    (_request, response) => {
      requestCount += 1;
      response.end('{"keys":[]}');
    },
    async (port) => {
      for (const host of [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0.0.0.0",
        "[::1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
      ])
        await assert.rejects(
          fetchTextWithin(`http://${host}:${port}/keys`, AbortSignal.timeout(10_000), {
            additionalRoots: () => Promise.resolve(undefined),
            blockedNetworks: [],
            isInside: isInsideAddress,
          }),
          /own machine or link/,
          host,
        );
    },
  );
  assert.equal(requestCount, 0);
});

test("a fetch names its client, and decodes a compressed answer within the same bound", async () => {
  const seen: unknown[] = [];
  const bodies: Readonly<Record<string, Buffer>> = {
    "/keys": gzipSync('{"keys":[]}'),
    "/cut": gzipSync('{"keys":[]}').subarray(0, 15),
    "/bomb": gzipSync(Buffer.alloc(2 << 20)),
    // The head of a gzip file, then empty blocks.
    "/empty": Buffer.concat([gzipSync("").subarray(0, 10), Buffer.from("000000ffff".repeat(300_000), "hex")]),
  };
  await withServer(
    (request, response) => {
      seen.push(request.headers["user-agent"]);
      response.setHeader("content-encoding", request.url === "/keys" ? "GZIP" : "gzip");
      response.end(bodies[request.url ?? ""]);
    },
    async (port) => {
      const get = getFrom(port, 10_000);
      assert.equal(await get("/keys"), '{"keys":[]}');
      await assert.rejects(get("/cut"), /unexpected end of file/);
      for (const path of ["/bomb", "/empty"]) await assert.rejects(get(path), /answered more than 1048576 bytes/, path);
    },
  );
  assert.deepEqual(new Set(seen), new Set(["istiod"]));
});

test("the endless body of a redirect or a refusal is not read on", async () => {
  const answers = new EndlessAnswers();
  await withServer(
    (request, response) => {
      if (request.url === "/keys") {
        response.end('{"keys":[]}');
        return;
      }
      response.writeHead(request.url === "/moved" ? 302 : 500, request.url === "/moved" ? { location: "/keys" } : {});
      answers.fill(response);
    },
    async (port) => {
      const get = getFrom(port, 600_000);
      assert.equal(await get("/moved"), '{"keys":[]}');
      await assert.rejects(get("/refused"), /answered 500/);
      await until(() => answers.open === 0);
    },
  );
});

test("a bundle of a trusted authority may come from this machine, and its redirects lead to no other server here", async () => {
  const requests: string[] = [];
  await withServer(
    (request, response) => {
      requests.push(`${request.headers.host ?? ""}${request.url ?? ""}`);
      const { port } = request.socket.address() as AddressInfo;
      if (request.url === "/out") response.writeHead(302, { location: `http://localhost:${port}/debug` }).end();
      else if (request.url === "/same") response.writeHead(302, { location: "/bundle" }).end();
      else response.end("bundle");
    },
    async (port) => {
      const get = async (path: string): Promise<string> =>
        await fetchText(`http://127.0.0.1:${port}${path}`, AbortSignal.timeout(10_000));
      assert.equal(await get("/bundle"), "bundle");
      assert.equal(await get("/same"), "bundle");
      await assert.rejects(get("/out"), { code: "address-blocked" });
      const host = `127.0.0.1:${port}`;
      assert.deepEqual(requests, [`${host}/bundle`, `${host}/same`, `${host}/bundle`, `${host}/out`]);
    },
  );
});

test("the name of a bundle's server does not lead to this machine, and localhost does", async (t) => {
  t.mock.method(dns, "lookup", (_name: string, _options: object, done: (error: null, found: LookupAddress[]) => void) =>
    done(null, [{ address: "127.0.0.1", family: 4 }]),
  );
  syncBuiltinESMExports();
  try {
    await withServer(
      (_request, response) => void response.end("bundle"),
      async (port) => {
        const get = async (host: string): Promise<string> =>
          await fetchText(`http://${host}:${port}/`, AbortSignal.timeout(10_000));
        assert.equal(await get("localhost"), "bundle");
        await assert.rejects(get("partner.test"), { code: "address-blocked" });
      },
    );
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
});

test("a server of keys or bundles that switches protocols does not hold its fetch for ever", async () => {
  const server = createTcpServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    await assert.rejects(fetchText(`http://127.0.0.1:${port}/`, AbortSignal.timeout(10_000)), /switched to another/);
    await assert.rejects(getFrom(port, 10_000)("/"), /switched to another/);
  } finally {
    server.close();
  }
});
