import "reflect-metadata";
import assert from "node:assert/strict";
import { KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { request as httpsRequest } from "node:https";
import {
  Name,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  type JsonGeneralNames,
} from "@peculiar/x509";
import { silentLogger, systemClock, systemRandom } from "../../../base/index.ts";
import { createKubeClient } from "../../../kube/index.ts";
import { ServerHarness, type Json } from "../../apiserver/testing/index.ts";
import { readCertificateRequest } from "../../auth/certificate-request.ts";
import { addCertificateRequestController } from "./certificate-requests.ts";
import { ControllerContext } from "../controller.ts";

const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const harness = new ServerHarness();
const stop = new AbortController();
let running: Promise<void>;

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
const keyPem = KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }).toString();

async function requestPem(name: string | Name, alternatives: JsonGeneralNames = []): Promise<string> {
  const extensions = alternatives.length === 0 ? [] : [new SubjectAlternativeNameExtension(alternatives)];
  const request = await Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: algorithm,
    extensions,
  });
  return request.toString("pem");
}

async function create(name: string, signerName: string, pem: string, spec: Json = {}): Promise<Json> {
  return await harness.call("POST", path, {
    metadata: { name },
    spec: {
      request: Buffer.from(pem).toString("base64"),
      signerName,
      usages: ["digital signature", "client auth"],
      ...spec,
    },
  });
}

/** Writes the same as `kubectl certificate approve` and `deny`. */
async function decide(name: string, type: "Approved" | "Denied", token?: string): Promise<Json> {
  const { body } = await harness.call("GET", `${path}/${name}`);
  const conditions = [...(body.status.conditions ?? []), { type, status: "True", reason: "KubectlDecision" }];
  return await harness.call(
    "PUT",
    `${path}/${name}/approval`,
    { ...body, status: { conditions } },
    token === undefined ? {} : { token },
  );
}

async function settled(name: string): Promise<Json> {
  for (let tries = 0; tries < 400; tries += 1) {
    const { body } = await harness.call("GET", `${path}/${name}`);
    const { status } = body;
    if (status.certificate !== undefined || status.conditions?.some((each: Json) => each.type === "Failed"))
      return body;
    await systemClock.sleep(25);
  }
  return assert.fail(`${name} was never answered`);
}

before(async () => {
  await harness.start();
  const pem = (file: string): string => readFileSync(file, "utf8");
  const { certificate, key } = harness.pki.controllerManager;
  const client = createKubeClient(
    {
      server: `https://127.0.0.1:${harness.port}`,
      context: "test",
      namespace: "default",
      ca: pem(harness.pki.caCertificate),
      clientCertificate: { certificate: pem(certificate), key: pem(key) },
    },
    { log: silentLogger, clock: systemClock },
  );
  const context = new ControllerContext({ client, log: silentLogger, clock: systemClock, random: systemRandom });
  addCertificateRequestController(context, () => ({
    certificate: pem(harness.pki.caCertificate),
    key: pem(harness.pki.caKey),
  }));
  running = context.run(stop.signal).finally(() => client.close());
});

after(async () => {
  stop.abort();
  await running;
  await harness.remove();
});

test("an approved request for a client certificate is signed, and the API server authenticates its user by it", async () => {
  const made = await create("jane", "kubernetes.io/kube-apiserver-client", await requestPem("O=team, CN=jane"), {
    expirationSeconds: 3_600,
    username: "forged",
    uid: "forged",
  });
  assert.deepEqual([made.status, made.body.spec.username, made.body.spec.uid], [201, "kubernetes-admin", undefined]);
  assert.ok(made.body.spec.groups.includes("system:masters"));
  const decided = await decide("jane", "Approved");
  assert.equal(decided.status, 200, decided.text);
  assert.match(decided.body.status.conditions[0].lastUpdateTime, /^20/);
  const signed = await settled("jane");
  const certificate = new X509Certificate(Buffer.from(signed.status.certificate, "base64"));
  const authority = new X509Certificate(readFileSync(harness.pki.caCertificate));
  assert.ok(certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
  assert.equal(certificate.subject, "O=team\nCN=jane");
  assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
  const validMs = Date.parse(certificate.validTo) - Date.parse(certificate.validFrom);
  assert.equal(validMs, 3_900_000);
  const review = await asCertified(certificate, "/apis/authentication.k8s.io/v1/selfsubjectreviews", {});
  assert.deepEqual(review.status.userInfo.username, "jane");
  assert.ok(review.status.userInfo.groups.includes("team"));
  const table = await harness.call("GET", `${path}/jane`, undefined, {
    accept: "application/json;as=Table;v=v1;g=meta.k8s.io",
  });
  assert.deepEqual(table.body.rows[0].cells.slice(2), [
    "kubernetes.io/kube-apiserver-client",
    "kubernetes-admin",
    "60m",
    "Approved,Issued",
  ]);
});

test("the last one of several common names is the user, and signers check that one", async () => {
  await create(
    "several",
    "kubernetes.io/kube-apiserver-client-kubelet",
    await requestPem("CN=kubernetes-admin, O=system:nodes, CN=system:node:x"),
  );
  assert.equal((await decide("several", "Approved")).status, 200);
  const certificate = new X509Certificate(Buffer.from((await settled("several")).status.certificate, "base64"));
  const review = await asCertified(certificate, "/apis/authentication.k8s.io/v1/selfsubjectreviews", {});
  assert.equal(review.status.userInfo.username, "system:node:x");
});

test("a kubelet's serving certificate keeps its names, and other subjects and usages fail with the reason", async () => {
  const names: JsonGeneralNames = [
    { type: "dns", value: "node-x" },
    { type: "ip", value: "10.0.0.1" },
  ];
  const serving = { usages: ["digital signature", "key encipherment", "server auth"] };
  const signer = "kubernetes.io/kubelet-serving";
  await create("node", signer, await requestPem("O=system:nodes, CN=system:node:x", names), serving);
  await create("other", signer, await requestPem("O=team, CN=system:node:x", names), serving);
  await create("nameless", signer, await requestPem("O=system:nodes, CN=system:node:x"), serving);
  await create(
    "usages",
    "kubernetes.io/kube-apiserver-client-kubelet",
    await requestPem("O=system:nodes, CN=system:node:x"),
    serving,
  );
  for (const name of ["node", "other", "nameless", "usages"])
    assert.equal((await decide(name, "Approved")).status, 200);
  const certificate = new X509Certificate(Buffer.from((await settled("node")).status.certificate, "base64"));
  assert.equal(certificate.subjectAltName, "DNS:node-x, IP Address:10.0.0.1");
  const failure = async (name: string): Promise<string> => {
    const { status } = await settled(name);
    assert.equal(status.certificate, undefined);
    return status.conditions.map((each: Json) => `${each.type}: ${each.message ?? ""}`).at(-1);
  };
  assert.equal(await failure("other"), "Failed: subject organization is not system:nodes");
  assert.equal(await failure("nameless"), "Failed: DNS or IP subjectAltName is required");
  assert.equal(await failure("usages"), 'Failed: usages did not include "client auth"');
});

test("denied requests and those of other signers get no certificate", async () => {
  await create("denied", "kubernetes.io/kube-apiserver-client", await requestPem("CN=a"));
  await create("custom", "example.com/own", await requestPem("CN=b"));
  assert.equal((await decide("denied", "Denied")).status, 200);
  assert.equal((await decide("custom", "Approved")).status, 200);
  const both = await decide("denied", "Approved");
  assert.deepEqual([both.status, both.body.reason], [422, "Invalid"]);
  // The controller has answered a later request, so it has seen the earlier ones too.
  await create("later", "kubernetes.io/kube-apiserver-client", await requestPem("CN=c"));
  await decide("later", "Approved");
  await settled("later");
  for (const name of ["denied", "custom"])
    assert.equal((await harness.call("GET", `${path}/${name}`)).body.status.certificate, undefined);
});

test("a request is checked when it is made, and its spec never changes", async () => {
  const signer = "kubernetes.io/kube-apiserver-client";
  const refused = async (answer: Promise<Json>): Promise<[number, string]> => {
    const { status, body } = await answer;
    return [status, body.message];
  };
  const [code, masters] = await refused(create("m", signer, await requestPem("O=system:masters, CN=a")));
  assert.equal(code, 403);
  assert.match(masters, /system:masters group is not allowed/);
  const wide = await requestPem(new Name([{ O: [{ bmpString: "system:masters" }] }, { CN: ["a"] }]));
  assert.match((await refused(create("m", signer, wide)))[1], /a string type that is not read here/);
  assert.match((await refused(create("m", signer, "no PEM")))[1], /spec.request.*PEM block type/);
  assert.match((await refused(create("m", "unqualified", await requestPem("CN=a"))))[1], /fully qualified domain/);
  assert.match(
    (await refused(create("m", signer, await requestPem("CN=a"), { usages: [] })))[1],
    /spec.usages: Required/,
  );
  assert.match(
    (await refused(create("m", signer, await requestPem("CN=a"), { expirationSeconds: 1 })))[1],
    /less than 600 seconds/,
  );
  await create("fixed", signer, await requestPem("CN=a"));
  const changed = await harness.call(
    "PATCH",
    `${path}/fixed`,
    { spec: { username: "other" }, status: { conditions: [{ type: "Approved", status: "True" }] } },
    { contentType: "application/merge-patch+json" },
  );
  assert.deepEqual([changed.body.spec.username, changed.body.status.conditions], ["kubernetes-admin", undefined]);
});

test("a decision needs the right to approve for the signer, besides the right to update the request", async () => {
  const account = "/api/v1/namespaces/default/serviceaccounts";
  await harness.call("POST", account, { metadata: { name: "approver" } });
  const { body } = await harness.call("POST", `${account}/approver/token`, { spec: {} });
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  await harness.call("POST", `${rbac}/clusterroles`, {
    metadata: { name: "csr" },
    rules: [
      { apiGroups: ["certificates.k8s.io"], resources: ["certificatesigningrequests/approval"], verbs: ["update"] },
    ],
  });
  const subjects = [{ kind: "ServiceAccount", name: "approver", namespace: "default" }];
  const bind = async (name: string): Promise<unknown> =>
    await harness.call("POST", `${rbac}/clusterrolebindings`, {
      metadata: { name: name.replaceAll(":", "-") },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects,
    });
  await bind("csr");
  await create("guarded", "kubernetes.io/kube-apiserver-client", await requestPem("CN=a"));
  const without = await decide("guarded", "Approved", body.status.token);
  assert.equal(without.status, 403);
  assert.match(without.body.message, /not permitted to approve requests with signerName/);
  await bind("system:certificates.k8s.io:kube-apiserver-client-approver");
  assert.equal((await decide("guarded", "Approved", body.status.token)).status, 200);
});

test("a request that another key signed is refused", async () => {
  const pem = await requestPem("CN=a");
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
  const changed = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
  assert.equal(readCertificateRequest(pem).commonName, "a");
  assert.throws(() => readCertificateRequest(changed), /not signed by its own key/);
});

async function asCertified(certificate: X509Certificate, url: string, body: Json): Promise<Json> {
  return await new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      {
        host: "127.0.0.1",
        port: harness.port,
        path: url,
        method: "POST",
        ca: harness.credentials().ca,
        cert: certificate.toString(),
        key: keyPem,
        agent: false,
        headers: { "content-type": "application/json" },
      },
      (answer) => {
        let text = "";
        answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
        answer.on("end", () => resolve(JSON.parse(text)));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(JSON.stringify(body));
  });
}
