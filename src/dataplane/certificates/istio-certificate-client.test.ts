import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from "@grpc/grpc-js";
import { HandClock, until } from "../../base/testing/index.ts";
import { serviceWithEndedBackend } from "../../net/testing/index.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "../../wire/workload/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import { IstioCertificateClient } from "./istio-certificate-client.ts";

const plain = (bytes: Buffer): Buffer => bytes;

/** A certificate service that answers with the request it got. */
async function authority(): Promise<{ readonly server: Server; readonly port: number; readonly requests: string[] }> {
  const server = new Server();
  const requests: string[] = [];
  const answer = ({ request }: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void => {
    const { csr } = fromBinary(IstioCertificateRequestSchema, request);
    requests.push(csr);
    const message = create(IstioCertificateResponseSchema, { certChain: [`signed ${csr}`] });
    done(null, Buffer.from(toBinary(IstioCertificateResponseSchema, message)));
  };
  server.register(discoveryMethods.createCertificate, answer, plain, plain, "unary");
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { server, port, requests };
}

test("a request whose first connection goes to an istiod that has ended is sent once, half a second later", async (t) => {
  const { server, port, requests } = await authority();
  t.after(() => server.forceShutdown());
  const { port: servicePort, sockets } = await serviceWithEndedBackend(t, port);
  const clock = new HandClock();
  const client = new IstioCertificateClient({
    endpoint: { url: `http://127.0.0.1:${servicePort}`, headers: {} },
    impersonate: false,
    clock,
    random: () => 1,
  });
  const request = { identity: "spiffe://cluster.local/ns/a/sa/b", csrPem: "csr", validitySeconds: 60 };
  const signing = client.sign(request, new AbortController().signal);
  await until(() => sockets.length === 1);
  clock.pass(500);
  assert.deepEqual(await signing, ["signed csr"]);
  assert.deepEqual([requests, clock.nowMs()], [["csr"], 500]);
});
