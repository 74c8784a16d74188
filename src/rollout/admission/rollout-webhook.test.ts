import assert from "node:assert/strict";
import { Agent, createServer, request } from "node:https";
import { test } from "node:test";
import { listenOnLoopback } from "../../../test/support/listen-on-loopback.ts";
import { createLogger, systemClock, userError, type Clock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import type { KindDefinition } from "../../api/index.ts";
import { serviceKind } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { AuthorKey, type AccessReviews } from "../access/index.ts";
import { RolloutWebhook } from "./rollout-webhook.ts";

const namespace = "serin-system";

/**
 * A cluster that has the engine's Service and both configurations, and stores Secrets. `present` is called before a
 * configuration is read: it says whether the configuration exists, or throws.
 */
function cluster(present: () => boolean = () => true): KubeClient {
  const secrets = new Map<string, object>();
  const keep = async (_kind: unknown, secret: { readonly metadata: { readonly name: string } }): Promise<object> => {
    secrets.set(secret.metadata.name, secret);
    return await Promise.resolve(secret);
  };
  return {
    get: async (kind: KindDefinition, name: string): Promise<unknown> => {
      if (kind === serviceKind) return await Promise.resolve({ metadata: { name, uid: "u1" } });
      if (kind.kind === "Secret") return secrets.get(name);
      return present() ? { metadata: { name }, webhooks: [{ clientConfig: { service: {} } }] } : undefined;
    },
    create: keep,
    update: keep,
    patchMerge: async () => await Promise.resolve({}),
  } as unknown as KubeClient;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenOnLoopback(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Answer {
  readonly status: number;
  readonly connection: string | undefined;
  readonly body: string;
}

async function ask(port: number, path: string, agent: Agent): Promise<Answer> {
  const review = {
    uid: "u",
    kind: { group: "rollout.serin.dev", kind: "Canary" },
    name: "web",
    operation: "CREATE",
    userInfo: { username: "ann" },
    object: { metadata: { name: "web", namespace: "shop" }, spec: {} },
  };
  return await new Promise((resolve, reject) => {
    const sent = request({ port, path, agent, method: "POST", host: "127.0.0.1" }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, connection: response.headers.connection, body });
      });
    });
    sent.on("error", reject);
    sent.end(JSON.stringify({ request: review }));
  });
}

test("an engine that ends still records authors until kube-proxies know its successor, and closes each connection", async () => {
  const client = cluster();
  const authorKey = new AuthorKey(client, namespace);
  const lingering = Promise.withResolvers<undefined>();
  const ending = new AbortController();
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms, signal) => await (ending.signal.aborted ? lingering.promise : systemClock.sleep(ms, signal)),
  };
  const log = createLogger({ scope: "test", write: () => undefined });
  const accessReviews = {} as AccessReviews;
  const port = await freePort();
  const webhook = new RolloutWebhook({ client, clock, log, namespace, port, authorKey, accessReviews });
  const ran = webhook.run(ending.signal, new AbortController().signal);
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
  try {
    await until(() => webhook.trusted);
    const path = await authorKey.path("author");
    assert.equal((await ask(port, path, agent)).connection, "keep-alive");
    ending.abort();
    const { status, connection, body } = await ask(port, path, agent);
    assert.deepEqual([status, connection], [200, "close"]);
    assert.match(
      Buffer.from(/"patch":"([^"]*)"/.exec(body)?.[1] ?? "", "base64").toString("utf8"),
      /\\"user\\":\\"ann\\"/,
    );
    lingering.resolve(undefined);
    await ran;
    await assert.rejects(ask(port, path, agent), /ECONNREFUSED/);
  } finally {
    ending.abort();
    lingering.resolve(undefined);
    await ran;
    agent.destroy();
  }
});

test("an engine that is uninstalled ends at once, as soon as its configurations or its rights are gone", async () => {
  const gone = [() => false, refused("forbidden"), refused("unauthorized")];
  for (const answer of gone) {
    let present = (): boolean => true;
    const client = cluster(() => present());
    const ending = new AbortController();
    const force = new AbortController();
    const log = createLogger({ scope: "test", write: () => undefined });
    // The webhook lingers for less time than the test takes.
    const clock: Clock = { ...systemClock, sleep: async (ms, signal) => await systemClock.sleep(ms * 20, signal) };
    const webhook = new RolloutWebhook({
      client,
      clock,
      log,
      namespace,
      port: await freePort(),
      authorKey: new AuthorKey(client, namespace),
      accessReviews: {} as AccessReviews,
    });
    const ran = webhook.run(ending.signal, force.signal).then(() => "ended");
    const late = systemClock.sleep(15_000, force.signal).then(
      () => "late",
      () => "ended",
    );
    await until(() => webhook.trusted);
    present = answer;
    ending.abort();
    assert.equal(await Promise.race([ran, late]), "ended");
    force.abort();
    await Promise.all([ran, late]);
  }
});

function refused(code: "forbidden" | "unauthorized"): () => boolean {
  return () => {
    throw userError(code, "no");
  };
}
