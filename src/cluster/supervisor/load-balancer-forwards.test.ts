import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import type { LoadBalancerPort } from "../node/node-report.ts";
import { LoadBalancerForwards } from "./load-balancer-forwards.ts";
import type { ServiceUrl } from "./service-url.ts";

const stateDirectory = mkdtempSync(join(tmpdir(), "serin-forwards-"));
after(() => rmSync(stateDirectory, { recursive: true }));

test("a disk that is too full for the file of addresses does not end the lab, and the file is written later", () => {
  const planned: (() => void)[] = [];
  const clock = {
    ...systemClock,
    after: (_ms: number, run: () => void) => {
      planned.push(run);
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const forwards = new LoadBalancerForwards({
    stateDirectory,
    log: silentLogger,
    clock,
    listen: () => Promise.reject(new Error("no port is needed here")),
  });
  const path = join(stateDirectory, "urls.json");
  rmSync(path);
  mkdirSync(`${path}.new`);
  forwards.update("worker", []);
  planned.shift()?.();
  assert.equal(planned.length, 1);
  rmdirSync(`${path}.new`);
  planned.shift()?.();
  assert.deepEqual([readFileSync(path, "utf8"), planned.length], ["[]\n", 0]);
});

const port = (service: string, number: number, more: Partial<LoadBalancerPort> = {}): LoadBalancerPort => ({
  service: `shop/${service}`,
  address: "172.18.255.200",
  port: number,
  portName: "",
  ...more,
});
const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

/** The forwards with a fake launcher, which opens each wanted port or refuses it. */
class Launcher {
  readonly wanted: string[] = [];
  readonly closed: string[] = [];
  refuses = false;
  /** Releases the launcher's next answers. If undefined, the launcher answers at once. */
  #release: (() => void) | undefined;
  #held: Promise<void> = Promise.resolve();
  readonly forwards = new LoadBalancerForwards({
    stateDirectory,
    log: silentLogger,
    clock: systemClock,
    listen: async (address, number) => {
      this.wanted.push(`${address}:${number}`);
      await this.#held;
      if (this.refuses) throw new Error("the address is in use");
      const server = { on: () => undefined, close: () => void this.closed.push(`${address}:${number}`) };
      return { server: server as unknown as Server, address, port: number };
    },
  });

  hold(): void {
    this.#held = new Promise((resolve) => (this.#release = resolve));
  }

  async release(): Promise<void> {
    this.#release?.();
    await turn();
  }

  get urls(): string[] {
    const urls = JSON.parse(readFileSync(join(stateDirectory, "urls.json"), "utf8")) as ServiceUrl[];
    return urls.map(({ service, url }) => `${service} ${url}`);
  }
}

test("each announced port has an address on the loopback that is easy to recognise, and a line for the user", async () => {
  const launcher = new Launcher();
  launcher.forwards.update("worker", [
    port("web", 80),
    port("web", 443),
    port("dns", 53),
    port("api", 8443, { portName: "https-api", address: "172.18.255.201" }),
  ]);
  await turn();
  assert.deepEqual(launcher.urls, [
    "shop/web http://127.7.255.200:8080",
    "shop/web https://127.7.255.200:8443",
    "shop/dns http://127.7.255.200:10053",
    "shop/api https://127.7.255.201:8443",
  ]);
});

test("a port that two nodes announce is opened once, and closed when neither does", async () => {
  const launcher = new Launcher();
  launcher.forwards.update("one", [port("web", 80)]);
  launcher.forwards.update("two", [port("web", 80)]);
  await turn();
  launcher.forwards.update("one", []);
  assert.deepEqual([launcher.wanted, launcher.closed], [["127.7.255.200:8080"], []]);
  launcher.forwards.update("two", []);
  assert.deepEqual([launcher.closed, launcher.urls], [["127.7.255.200:8080"], []]);
});

test("a port that is no longer announced when its address is opened is closed, and never shown", async () => {
  const launcher = new Launcher();
  launcher.hold();
  launcher.forwards.update("worker", [port("web", 80)]);
  launcher.forwards.update("worker", []);
  await launcher.release();
  assert.deepEqual([launcher.closed, launcher.urls], [["127.7.255.200:8080"], []]);
});

test("a port whose address cannot be opened is tried again with the node's next report", async () => {
  const launcher = new Launcher();
  launcher.refuses = true;
  launcher.forwards.update("worker", [port("web", 80)]);
  await turn();
  assert.deepEqual(launcher.urls, []);
  launcher.refuses = false;
  launcher.forwards.update("worker", [port("web", 80)]);
  await turn();
  assert.deepEqual(launcher.urls, ["shop/web http://127.7.255.200:8080"]);
  assert.equal(launcher.wanted.length, 2);
});

test("a forwarded connection carries bytes both ways, also after one side has ended its own, and ends with a refused target", async () => {
  const target = createServer({ allowHalfOpen: true }, (socket) => {
    void text(socket).then((request) => socket.end(`answer to ${request}`));
  });
  const entrance = createServer();
  for (const server of [target, entrance])
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const [inside, outside] = [target, entrance].map((server) => (server.address() as AddressInfo).port);
  const forwards = new LoadBalancerForwards({
    stateDirectory,
    log: silentLogger,
    clock: systemClock,
    listen: async () => await Promise.resolve({ server: entrance, address: "127.0.0.1", port: outside ?? 0 }),
  });
  const ask = async (): Promise<string> => {
    const socket = connect({ host: "127.0.0.1", port: outside ?? 0, allowHalfOpen: true });
    socket.end("hello");
    return await text(socket);
  };
  try {
    forwards.update("worker", [port("web", inside ?? 0, { address: "127.0.0.1" })]);
    await turn();
    assert.equal(await ask(), "answer to hello");
    target.close();
    assert.equal(await ask().catch(() => ""), "");
  } finally {
    entrance.close();
    target.close();
  }
});
