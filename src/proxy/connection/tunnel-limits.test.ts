import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock, until } from "../../base/testing/index.ts";
import type { ForwardAction } from "../routing/route.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { connectTo } from "../testing/http2-peers.ts";

const limited: Partial<ForwardAction> = { stream: { maxMs: 60_000, grpcTimeout: undefined } };

/** A tunnel through the proxy to a server that echoes. `seconds` lets time pass. */
async function tunnel(kind: "websocket" | "connect", action: Partial<ForwardAction> = {}) {
  const clock = new HandClock();
  const harness = await Harness.start({ streamIdleTimeoutMs: 10_000 }, 1, { clock });
  const port = await harness.rawBackend((socket) => {
    let head = "";
    socket.on("data", (chunk) => {
      if (head.endsWith("\r\n\r\n")) socket.write(chunk);
      else if ((head += chunk.toString("latin1")).endsWith("\r\n\r\n"))
        socket.write(
          kind === "connect"
            ? "HTTP/1.1 200 OK\r\n\r\n"
            : "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        );
    });
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a", action), { forConnect: kind === "connect" }));
  let received = "";
  let send: (text: string) => void;
  let close = (): void => undefined;
  if (kind === "websocket") {
    const client = harness.client();
    client.send("GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    await client.until(/^HTTP\/1.1 101 /);
    client.socket.on("data", (bytes) => (received += bytes.toString()));
    send = (text) => client.send(text);
  } else {
    const session = await connectTo(harness.port);
    const stream = session.request({ ":method": "CONNECT", ":authority": "x.test:80" });
    stream.on("data", (bytes: Buffer) => (received += bytes.toString()));
    stream.on("error", () => undefined);
    send = (text) => void stream.write(text);
    close = () => session.destroy();
  }
  return {
    harness,
    echo: async (text: string) => {
      send(text);
      await until(() => received.endsWith(text));
    },
    seconds: (count: number) => {
      for (let second = 0; second < count; second += 1) {
        clock.pass(1000);
        harness.listener.sweep();
      }
    },
    [Symbol.asyncDispose]: async () => {
      close();
      await harness[Symbol.asyncDispose]();
    },
  };
}

for (const kind of ["websocket", "connect"] as const) {
  test(`a tunnel ends when no byte has moved for the idle time of its route or listener: ${kind}`, async () => {
    await using one = await tunnel(kind);
    await one.echo("one");
    one.seconds(10);
    await one.echo("two");
    one.seconds(10);
    assert.equal(one.harness.records.length, 0);
    one.seconds(1);
    assert.deepEqual(
      one.harness.records.map(({ flag, details }) => [flag, details]),
      [["SI", "stream_idle_timeout"]],
    );
    await using patient = await tunnel(kind, { idleTimeoutMs: 0 });
    await patient.echo("one");
    patient.seconds(300);
    await patient.echo("two");
  });

  test(`a tunnel ends after the time limit of streams, whatever passes: ${kind}`, async () => {
    await using one = await tunnel(kind, limited);
    for (let part = 0; part < 6; part += 1) {
      await one.echo(`part ${part}`);
      one.seconds(9);
    }
    await one.echo("last");
    assert.equal(one.harness.records.length, 0);
    one.seconds(6);
    assert.deepEqual(
      one.harness.records.map(({ flag, details }) => [flag, details]),
      [["DT", "max_duration_timeout"]],
    );
  });
}
