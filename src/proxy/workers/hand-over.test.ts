import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { httpListener } from "../testing/ads-server.ts";
import { fetchOnce } from "../testing/harness.ts";
import { TestProxy } from "../testing/test-proxy.ts";

/** A gateway's pod with its own address and this number of workers. */
async function gateway(address: string, port: number, workers: number): Promise<TestProxy> {
  const proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
    workers,
  });
  proxy.ads.push(typeUrls.cluster, {});
  proxy.ads.push(typeUrls.listener, {
    gateway: {
      ...(httpListener(port, "routes") as object),
      name: "gateway",
      address: { socketAddress: { address, portValue: port } },
    },
  });
  proxy.ads.push(typeUrls.route, {
    routes: {
      name: "routes",
      virtualHosts: [
        { name: "any", domains: ["*"], routes: [{ match: { prefix: "/" }, directResponse: { status: 200 } }] },
      ],
    },
  });
  return proxy;
}

/** With a shorter pause, the clients use all processors of the machine, and the hand-over is slow. */
const pauseMs = 4;

/** Opens connections one after another to the pods that are ready, as a Service would. */
class Clients {
  readonly served = new Map<string, number>();
  readonly lost: string[] = [];
  ready: readonly string[] = [];
  readonly #port: number;
  readonly #loops: Promise<void>[];
  #stopped = false;

  constructor(port: number, loops: number) {
    this.#port = port;
    this.#loops = Array.from({ length: loops }, async () => await this.#run());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #run(): Promise<void> {
    for (let count = 0; !this.#stopped; count += 1) {
      const address = this.ready[count % this.ready.length];
      if (address !== undefined) await this.#once(address);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  #once(address: string): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect({ host: address, port: this.#port });
      let answer = "";
      let error = "";
      socket.on("connect", () => socket.write("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n"));
      socket.on("data", (bytes) => (answer += bytes.toString("latin1")));
      socket.on("error", (thrown) => (error = thrown.message));
      socket.on("close", () => {
        if (answer.startsWith("HTTP/1.1 200 OK\r\n")) this.served.set(address, (this.served.get(address) ?? 0) + 1);
        else this.lost.push(`${address}: ${error} ${JSON.stringify(answer)}`);
        resolve();
      });
    });
  }
}

for (const [before, after] of [
  [1, 1],
  [2, 2],
  [1, 2],
  [2, 1],
] as const)
  test(`a gateway with ${before} worker(s) hands over to one with ${after}, and no connection is refused or reset`, async () => {
    const port = await freePort();
    const [oldAddress, newAddress] = ["127.0.0.2", "127.0.0.3"];
    await using old = await gateway(oldAddress, port, before);
    await old.ready();
    const clients = new Clients(port, 8);
    clients.ready = [oldAddress];
    await until(() => (clients.served.get(oldAddress) ?? 0) >= 100);
    await using next = await gateway(newAddress, port, after);
    await next.ready();
    clients.ready = [oldAddress, newAddress];
    await until(() => (clients.served.get(newAddress) ?? 0) >= 100);
    old.shutdown.request("another revision has taken over");
    // The readiness port answers 503. Connections still arrive at the old gateway until the clients leave it out.
    await until(async () => (await fetchOnce(old.ports.readiness, "/healthz/ready")).status === 503);
    const late = clients.served.get(oldAddress) ?? 0;
    await until(() => (clients.served.get(oldAddress) ?? 0) >= late + 100);
    clients.ready = [newAddress];
    await old.ended;
    const taken = clients.served.get(newAddress) ?? 0;
    await until(() => (clients.served.get(newAddress) ?? 0) >= taken + 100);
    await clients.stop();
    assert.deepEqual(clients.lost, []);
  });
