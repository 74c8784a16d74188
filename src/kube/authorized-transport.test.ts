import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { systemClock } from "../base/index.ts";
import { AuthorizedTransport } from "./authorized-transport.ts";
import type { CredentialPlugin, PluginCredential } from "./credential-plugin.ts";
import { Credentials } from "./credentials.ts";
import type { KubeConfig } from "./kube-config.ts";

/** A plugin that returns these credentials in order: a new one for each request, or a new one only after a refusal. */
function steps(credentials: readonly PluginCredential[], statuses: readonly number[], renewsUnasked: boolean) {
  const done: string[] = [];
  let at = 0;
  const plugin = {
    current: () => Promise.resolve(credentials[renewsUnasked ? at++ : at] ?? {}),
    forget: (refused: PluginCredential) => {
      done.push(`forget ${refused.token ?? ""}`);
      at += 1;
    },
  };
  const config = { server: "https://127.0.0.1:6443", context: "test", plugin: plugin as unknown as CredentialPlugin };
  const answers = statuses.values();
  const transport = new AuthorizedTransport(
    {
      send: ({ headers }) => {
        done.push(`send ${String(headers["authorization"])} ${String(headers["accept"])}`);
        return Promise.resolve({ status: answers.next().value ?? 200, headers: {}, body: Readable.from([]) });
      },
      renew: () => done.push("renew"),
      close: () => done.push("close"),
    },
    new Credentials(config as KubeConfig, systemClock),
  );
  const send = async (): Promise<number> =>
    (await transport.send({ method: "GET", path: "/", headers: { accept: "a" } })).status;
  return { done, send };
}

const pair = (name: string) => ({ certificate: name, key: name });

test("a refused request is sent once more with newer credentials, over a new connection if their certificate differs", async () => {
  const { done, send } = steps(
    [
      { token: "1", clientCertificate: pair("old") },
      { token: "2", clientCertificate: pair("new") },
      { token: "3", clientCertificate: pair("last") },
    ],
    [401, 401],
    false,
  );
  assert.equal(await send(), 401, "it is not repeated twice");
  assert.deepEqual(done, ["send Bearer 1 a", "forget 1", "renew", "send Bearer 2 a"]);
});

test("a certificate that changes between two requests is used, although no request was refused", async () => {
  const first = pair("first");
  const { done, send } = steps(
    [
      { token: "1" },
      { token: "2", clientCertificate: first },
      { token: "3", clientCertificate: first },
      { token: "4", clientCertificate: pair("second") },
    ],
    [],
    true,
  );
  for (let request = 0; request < 4; request += 1) assert.equal(await send(), 200);
  assert.deepEqual(done, [
    "send Bearer 1 a",
    "renew",
    "send Bearer 2 a",
    "send Bearer 3 a",
    "renew",
    "send Bearer 4 a",
  ]);
});
