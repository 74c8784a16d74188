// TLS in front of a plain HTTP server of the same pod: lets through who the cluster knows and allows.
// --secure-listen-address=0.0.0.0:8443 --upstream=http://127.0.0.1:8080/ (other flags of the original are passed over)
import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer, request as httpsRequest } from "node:https";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

const accountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";
const dayMs = 86_400_000;
const certificateDays = 365;

function flag(name: string, fallback: string): string {
  return process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3) ?? fallback;
}

const upstream = new URL(flag("upstream", "http://127.0.0.1:8080/"));
const [host = "0.0.0.0", port = "8443"] = flag("secure-listen-address", "0.0.0.0:8443").split(/:(?=\d+$)/);

async function selfSigned(): Promise<{ cert: string; key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  x509.cryptoProvider.set(webcrypto);
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${process.env["HOSTNAME"] ?? "kube-rbac-proxy"}`,
    notBefore: new Date(now - dayMs),
    notAfter: new Date(now + certificateDays * dayMs),
    signingAlgorithm: algorithm,
    keys,
  });
  const exported = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return { cert: certificate.toString("pem"), key: `-----BEGIN PRIVATE KEY-----\n${exported}\n-----END PRIVATE KEY-----\n` };
}

/** Asks the API server with the pod's own account. */
async function review(path: string, body: unknown): Promise<Record<string, unknown>> {
  const ca = readFileSync(`${accountDirectory}/ca.crt`);
  const token = readFileSync(`${accountDirectory}/token`, "utf8");
  const address = { host: process.env["KUBERNETES_SERVICE_HOST"] ?? "kubernetes.default.svc", port: process.env["KUBERNETES_SERVICE_PORT"] ?? "443" };
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const asking = httpsRequest({ ...address, path, ca, method: "POST", headers: { authorization: `Bearer ${token}`, "content-type": "application/json" } }, resolve);
    asking.on("error", reject);
    asking.end(JSON.stringify(body));
  });
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return (JSON.parse(Buffer.concat(chunks).toString("utf8")) as { status?: Record<string, unknown> }).status ?? {};
}

/** The status to refuse with; undefined lets pass. */
async function refusal(request: IncomingMessage): Promise<number | undefined> {
  const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (token === undefined) return 401;
  const { authenticated, user } = await review("/apis/authentication.k8s.io/v1/tokenreviews", { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token } });
  if (authenticated !== true) return 401;
  const { username, groups } = user as { username: string; groups?: string[] };
  const verb = (request.method ?? "GET").toLowerCase();
  const nonResourceAttributes = { path: new URL(request.url ?? "/", "http://x").pathname, verb: verb === "post" ? "create" : verb };
  const { allowed } = await review("/apis/authorization.k8s.io/v1/subjectaccessreviews", { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec: { user: username, groups, nonResourceAttributes } });
  return allowed === true ? undefined : 403;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const status = await refusal(request);
  if (status !== undefined) {
    response.writeHead(status).end(status === 401 ? "Unauthorized\n" : "Forbidden\n");
    return;
  }
  const { authorization: _token, ...headers } = request.headers;
  const outgoing = httpRequest({ host: upstream.hostname, port: upstream.port, path: request.url, method: request.method, headers }, (found) => {
    response.writeHead(found.statusCode ?? 502, found.headers);
    found.pipe(response);
  });
  outgoing.on("error", () => response.headersSent ? response.destroy() : response.writeHead(502).end("Bad Gateway\n"));
  request.pipe(outgoing);
}

const server = createServer(await selfSigned(), (request, response) => {
  answer(request, response).catch((error: unknown) => {
    process.stderr.write(`kube-rbac-proxy: ${String(error)}\n`);
    response.writeHead(500).end("Internal Server Error\n");
  });
});
server.listen(Number(port), host, () => process.stdout.write(`Listening securely on ${host}:${port}\n`));
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
