import assert from "node:assert/strict";
import { KeyObject } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import "reflect-metadata";
import { X509CertificateGenerator } from "@peculiar/x509";
import { HandClock } from "../base/testing/index.ts";
import { Credentials } from "./credentials.ts";
import { loadKubeConfig, type KubeConfig } from "./kube-config.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-plugin-"));
after(() => rmSync(directory, { recursive: true }));

/** A program that appends a line to `runs` each time that it runs. */
function program(name: string, body: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\necho run >> ${join(directory, `${name}.runs`)}\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

function runsOf(name: string): number {
  const path = join(directory, `${name}.runs`);
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n").length : 0;
}

const version = "client.authentication.k8s.io/v1";
const credential = (status: object): string => JSON.stringify({ apiVersion: version, kind: "ExecCredential", status });
const answer = (status: object): string => `cat <<'END'\n${credential(status)}\nEND`;

async function pair(): Promise<{ readonly certificate: string; readonly key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const made = await X509CertificateGenerator.createSelfSigned({ keys, signingAlgorithm: algorithm });
  const key = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" });
  return { certificate: made.toString("pem"), key: String(key) };
}

async function configWith(exec: object, cluster: object = {}): Promise<KubeConfig> {
  const path = join(directory, "config");
  writeFileSync(
    path,
    JSON.stringify({
      "current-context": "a",
      clusters: [{ name: "c", cluster: { server: "https://api.example.com", ...cluster } }],
      users: [{ name: "u", user: { exec: { apiVersion: version, interactiveMode: "Never", ...exec } } }],
      contexts: [{ name: "a", context: { cluster: "c", user: "u" } }],
    }),
  );
  return await loadKubeConfig(path, undefined, { PATH: `${directory}:${process.env["PATH"] ?? ""}`, FROM_USER: "yes" });
}

test("a program gives the token, runs once for all requests, and again after its expiry and after a refusal", async () => {
  program("renewing", answer({ token: "secret", expirationTimestamp: "1970-01-01T01:00:00Z" }));
  let nowMs = 0;
  const clock = Object.assign(new HandClock(), { nowMs: () => nowMs });
  const config = await configWith({ command: "renewing" });
  const credentials = new Credentials(config, clock);
  assert.equal(credentials.rotates, true);
  const all = await Promise.all([credentials.current(), credentials.current()]);
  assert.deepEqual(
    all.map(({ headers }) => headers),
    [{ authorization: "Bearer secret" }, { authorization: "Bearer secret" }],
  );
  // Another client of the same kubeconfig gets the credential of the first client, without another run of the program.
  await new Credentials(await configWith({ command: "renewing" }), clock).current();
  assert.equal(runsOf("renewing"), 1);
  nowMs = 3_600_000;
  await credentials.current();
  assert.equal(runsOf("renewing"), 2);
  nowMs = 0;
  const used = await credentials.current();
  credentials.forget(used);
  await credentials.current();
  assert.equal(runsOf("renewing"), 3);
  // A late refusal of old credentials must not discard the current ones.
  credentials.forget(used);
  await credentials.current();
  assert.equal(runsOf("renewing"), 3);
});

test("a program learns its arguments, the user's environment, its own variables and the cluster, and may be beside the kubeconfig", async () => {
  const { certificate, key } = await pair();
  program(
    "./asking",
    `printf '%s|' "$@" "$FROM_USER" "$OWN" "$__proto__" > ${join(directory, "seen")}; printf %s "$KUBERNETES_EXEC_INFO" > ${join(directory, "info")}\n${answer({ clientCertificateData: certificate, clientKeyData: key })}`,
  );
  const settings = {
    command: "./asking",
    args: ["get token", "-x"],
    env: [
      { name: "OWN", value: "1" },
      { name: "__proto__", value: "2" },
    ],
    provideClusterInfo: true,
  };
  const extension = { name: "client.authentication.k8s.io/exec", extension: { audience: "a" } };
  const config = await configWith(settings, { "certificate-authority-data": "Q0E=", extensions: [extension] });
  const { headers, clientCertificate } = await new Credentials(config, new HandClock()).current();
  assert.deepEqual([headers, clientCertificate], [{}, { certificate, key }]);
  assert.equal(readFileSync(join(directory, "seen"), "utf8"), "get token|-x|yes|1|2|");
  assert.deepEqual(JSON.parse(readFileSync(join(directory, "info"), "utf8")), {
    kind: "ExecCredential",
    apiVersion: version,
    spec: {
      interactive: false,
      cluster: {
        server: "https://api.example.com",
        "certificate-authority-data": "Q0E=",
        config: { audience: "a" },
      },
    },
  });
});

test("a program that is missing, fails or answers otherwise is named with the reason", async () => {
  program("failing", "exit 3");
  program("silent", "exit 0");
  program("wordy", "head -c 2000000 /dev/zero");
  program("older", 'echo \'{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}\'');
  program("empty", answer({}));
  program("half", answer({ token: "t", clientKeyData: "KEY" }));
  program("undated", answer({ token: "t", expirationTimestamp: "tomorrow" }));
  const faults: readonly (readonly [command: string, message: RegExp])[] = [
    ["failing", /ended with 3/],
    ["silent", /its output is not JSON$/],
    ["wordy", /printed more than 1048576 bytes/],
    ["older", /printed ExecCredential of client.authentication.k8s.io\/v1beta1, expected .*\/v1/],
    ["empty", /returned neither a token nor a certificate/],
    ["half", /returned only one of/],
    ["undated", /"tomorrow" as expirationTimestamp/],
  ];
  for (const [command, message] of faults) {
    const credentials = new Credentials(await configWith({ command }), new HandClock());
    await assert.rejects(credentials.current(), (error: Error) => {
      assert.match(error.message, new RegExp(`the program ${command} for the credentials of user "u" of `));
      assert.match(error.message, message);
      return true;
    });
  }
  const hinted = await configWith({ command: "not-installed", installHint: "install it by brew" });
  await assert.rejects(new Credentials(hinted, new HandClock()).current(), {
    kind: "user",
    code: "credential-plugin-failed",
    hint: "install it by brew",
  });
});

test("an answer with a field of another type, or with a token that no header can carry, is refused by field and not quoted", async () => {
  const [one, other] = [await pair(), await pair()];
  const expired = { token: "t", expirationTimestamp: 1_700_000_000 };
  const faults: readonly (readonly [answer: string, message: RegExp])[] = [
    ["eyJsecret", /printed no ExecCredential: its output is not JSON$/],
    ["[]", /its output is a list$/],
    [JSON.stringify({ apiVersion: 1, kind: {}, status: {} }), /printed an object of a number, expected/],
    [JSON.stringify({ apiVersion: version, kind: "ExecCredential", status: "t" }), /returned a string as status/],
    [credential({ token: 5 }), /returned a number as token, expected a string/],
    [credential({ token: "a\nb" }), /returned a token with a line break/],
    [credential({ clientCertificateData: ["C"], clientKeyData: "K" }), /a list as clientCertificateData/],
    [
      credential({ clientCertificateData: "secret", clientKeyData: "secret" }),
      /clientKeyData that cannot be used: .*PEM/,
    ],
    [
      credential({ clientCertificateData: one.certificate, clientKeyData: other.key }),
      /clientKeyData that cannot be used: .*key values mismatch/,
    ],
    [credential(expired), /returned a number as expirationTimestamp, expected a string/],
    [credential({ ...expired, expirationTimestamp: "2026-06-01T00:00:00" }), /expected a time of RFC 3339/],
  ];
  for (const [index, [text, message]] of faults.entries()) {
    program(`odd-${index}`, `cat <<'END'\n${text}\nEND`);
    const credentials = new Credentials(await configWith({ command: `odd-${index}` }), new HandClock());
    await assert.rejects(credentials.current(), (error: Error) => {
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});

test("a program that ignores SIGTERM and whose child floods the output is given up at once", async () => {
  program("flooding", "trap '' TERM\nyes");
  const credentials = new Credentials(await configWith({ command: "flooding" }), new HandClock());
  await assert.rejects(credentials.current(), /printed more than 1048576 bytes/);
});

test("a credential that has expired already is used for a minute, or until the server refuses it", async () => {
  program("late", answer({ token: "t", expirationTimestamp: "2020-01-01T00:00:00Z" }));
  let now = Date.parse("2026-06-01T00:00:00Z");
  const clock = Object.assign(new HandClock(), { nowMs: () => now });
  const credentials = new Credentials(await configWith({ command: "late" }), clock);
  const used = await credentials.current();
  await credentials.current();
  assert.equal(runsOf("late"), 1);
  credentials.forget(used);
  await credentials.current();
  assert.equal(runsOf("late"), 2);
  now += 60_000;
  await credentials.current();
  assert.equal(runsOf("late"), 3);
});

test("a program that needs a terminal does not run without one", async () => {
  program("asks", answer({ token: "t" }));
  const config = await configWith({ command: "asks", interactiveMode: "Always" });
  await assert.rejects(new Credentials(config, new HandClock()).current(), /needs a terminal/);
  assert.equal(runsOf("asks"), 0);
});
