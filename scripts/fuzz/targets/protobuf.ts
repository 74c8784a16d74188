import { readFileSync } from "node:fs";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { SerinError } from "../../../src/base/index.ts";
import { BuiltInShapes } from "../../../src/cluster/schema/built-in-shapes.ts";
import { SchemaFault } from "../../../src/cluster/schema/contract.ts";
import { ProtobufDecoder } from "../../../src/cluster/schema/decode-protobuf.ts";
import { MessageDecoder } from "../../../src/controlplane/serve/grpc/message-decoder.ts";
import { decodePeerMetadata, encodePeerMetadata } from "../../../src/proxy/peers/peer-metadata.ts";
import { DeltaDiscoveryRequestSchema } from "../../../src/wire/discovery/index.ts";
import { AddressSchema, IstioCertificateRequestSchema } from "../../../src/wire/workload/index.ts";
import { decodeZdsHello, decodeZdsRequest, decodeZdsResponse, encodeZdsRequest } from "../../../src/wire/zds/index.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

const decoder = new ProtobufDecoder(BuiltInShapes.load());
const recorded = JSON.parse(
  readFileSync(new URL("../../../src/cluster/schema/testdata/protobuf-bodies.json", import.meta.url), "utf8"),
) as readonly { readonly body: string }[];
const schemas = [DeltaDiscoveryRequestSchema, AddressSchema, IstioCertificateRequestSchema];
const maxMessageBytes = 1000;

const readers: readonly ((bytes: Buffer) => void)[] = [
  (bytes) => void decoder.decode(bytes),
  (bytes) => void decoder.decode(Buffer.concat([Buffer.from("k8s\0"), bytes])),
  // Any error is allowed, because the server turns every decoding error into the status of the call.
  ...schemas.map((schema) => (bytes: Buffer) => {
    try {
      fromBinary(schema, bytes);
    } catch (error) {
      expectRefusal(error, Error);
    }
  }),
  (bytes) => void decodePeerMetadata(bytes.toString("base64")),
  (bytes) => void decodeZdsHello(bytes),
  (bytes) => void decodeZdsRequest(bytes),
  (bytes) => void decodeZdsResponse(bytes),
  (bytes) => {
    const messages = new MessageDecoder(maxMessageBytes);
    for (let at = 0; at < bytes.length; at += 7)
      messages.push(bytes.subarray(at, at + 7), (message) =>
        expect(message.length <= maxMessageBytes, "a message is bounded"),
      );
  },
];

export const target: FuzzTarget = {
  title: "protobuf: bodies of Kubernetes, xDS, certificates, peers' metadata, ZDS, and gRPC's frames",
  seeds: [
    ...recorded.map(({ body }) => Buffer.from(body, "base64")).filter((body) => body.length < 600),
    Buffer.from(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          node: { id: "a", metadata: { A: { b: ["c", 1, null] } } },
          typeUrl: "t",
          resourceNamesSubscribe: ["*"],
        }),
      ),
    ),
    Buffer.from(
      toBinary(
        IstioCertificateRequestSchema,
        create(IstioCertificateRequestSchema, { csr: "x", validityDuration: 5n, metadata: { A: "b" } }),
      ),
    ),
    Buffer.from(
      encodePeerMetadata({ workload: "a", namespace: "b", canonicalName: "c", canonicalRevision: "d", cluster: "e" }),
      "base64",
    ),
    encodeZdsRequest({
      type: "add",
      uid: "u",
      workload: { name: "a", namespace: "b", serviceAccount: "c" },
      listeners: ["outbound"],
      handedOver: false,
    }),
    Buffer.from([0, 0, 0, 0, 2, 8, 1]),
  ],
  run: (input) => {
    for (const read of readers) {
      try {
        read(input);
      } catch (error) {
        expectRefusal(error, SchemaFault, SerinError);
        if (error instanceof SerinError && error.kind === "internal") throw error;
      }
    }
  },
};
