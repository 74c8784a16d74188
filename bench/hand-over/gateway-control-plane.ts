import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from "@grpc/grpc-js";
import { FakeCertificateAuthority } from "../../src/dataplane/index.ts";
import { AdsServer, httpListener } from "../../src/proxy/testing/ads-server.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "../../src/wire/workload/index.ts";
import { discoveryMethods, typeUrls } from "../../src/wire/xds/index.ts";

export interface NewGateway {
  readonly address: string;
  readonly port: number;
}

export interface UrlsOfGateway {
  readonly discovery: string;
  readonly authority: string;
}

const identity = "spiffe://cluster.local/ns/bench/sa/bench";

async function startAuthority(): Promise<string> {
  const authority = new FakeCertificateAuthority();
  const sign = async ({ request }: ServerUnaryCall<Buffer, Buffer>): Promise<Buffer> => {
    const { csr, validityDuration } = fromBinary(IstioCertificateRequestSchema, request);
    const validitySeconds = Number(validityDuration);
    const certChain = [...(await authority.sign({ identity, csrPem: csr, validitySeconds }))];
    return Buffer.from(toBinary(IstioCertificateResponseSchema, create(IstioCertificateResponseSchema, { certChain })));
  };
  const server = new Server();
  const plain = (bytes: Buffer): Buffer => bytes;
  const answer = (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void =>
    void sign(call).then(
      (bytes) => done(null, bytes),
      (error: unknown) => done(error as Error),
    );
  server.register(discoveryMethods.createCertificate, answer, plain, plain, "unary");
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return `http://127.0.0.1:${port}`;
}

async function startDiscovery({ address, port }: NewGateway): Promise<string> {
  const ads = await AdsServer.start();
  ads.push(typeUrls.cluster, {});
  const listener = httpListener(port, "routes") as object;
  ads.push(typeUrls.listener, {
    gateway: { ...listener, name: "gateway", address: { socketAddress: { address, portValue: port } } },
  });
  ads.push(typeUrls.route, {
    routes: {
      name: "routes",
      virtualHosts: [
        { name: "any", domains: ["*"], routes: [{ match: { prefix: "/" }, directResponse: { status: 200 } }] },
      ],
    },
  });
  return ads.url;
}

/**
 * Runs the control plane and the certificate authority of the gateways, in a separate process, because it has to be in
 * the gateways' network. Each message describes a new gateway. The answer contains the URLs that this gateway connects
 * to.
 */
export async function runControlPlane(): Promise<void> {
  const authority = await startAuthority();
  const answer = async (gateway: NewGateway): Promise<void> => {
    const urls: UrlsOfGateway = { discovery: await startDiscovery(gateway), authority };
    process.send?.(urls);
  };
  process.on("message", (gateway: NewGateway) => void answer(gateway));
  process.send?.("started");
}
