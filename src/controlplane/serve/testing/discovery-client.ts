import {
  create,
  fromBinary,
  toBinary,
  type JsonObject,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { BoundedQueue } from "../../../base/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../../wire/discovery/index.ts";
import { discoveryMethods } from "../../../wire/xds/index.ts";

const schemas = {
  delta: {
    path: discoveryMethods.deltaAds,
    request: DeltaDiscoveryRequestSchema,
    response: DeltaDiscoveryResponseSchema,
  },
  whole: {
    path: discoveryMethods.stateOfTheWorldAds,
    request: DiscoveryRequestSchema,
    response: DiscoveryResponseSchema,
  },
} as const;
type Protocol = keyof typeof schemas;
type Request<P extends Protocol> = MessageInitShape<(typeof schemas)[P]["request"]>;
type Response<P extends Protocol> = MessageShape<(typeof schemas)[P]["response"]>;

const identity = (value: Buffer): Buffer => value;
const queueLimit = 1000;

export class DiscoveryTestClient<P extends Protocol> {
  readonly #client: grpc.Client;
  readonly #call: grpc.ClientDuplexStream<Buffer, Buffer>;
  readonly #protocol: P;
  readonly #nodeId: string;
  readonly #metadata: JsonObject;
  readonly #userAgentName: string;
  readonly #responses = new BoundedQueue<Response<P>>(queueLimit);
  readonly #failed: { error?: Error } = {};
  #waiting: (() => void) | undefined;
  #first = true;
  received = 0;

  constructor(
    protocol: P,
    target: string,
    nodeId: string,
    options: {
      credentials?: grpc.ChannelCredentials;
      headers?: Record<string, string>;
      metadata?: JsonObject;
      userAgentName?: string;
      compressed?: boolean;
    } = {},
  ) {
    this.#protocol = protocol;
    this.#nodeId = nodeId;
    this.#metadata = options.metadata ?? {};
    this.#userAgentName = options.userAgentName ?? "";
    this.#client = new grpc.Client(target, options.credentials ?? grpc.credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
      ...(options.compressed === true ? { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip } : {}),
    });
    const headers = new grpc.Metadata();
    for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
    this.#call = this.#client.makeBidiStreamRequest(schemas[protocol].path, identity, identity, headers);
    this.#call.on("data", (bytes: Buffer) => {
      this.received += bytes.length;
      this.#responses.push(fromBinary(schemas[protocol].response, bytes) as Response<P>);
      this.#waiting?.();
    });
    this.#call.on("error", (error) => {
      this.#failed.error = error;
      this.#waiting?.();
    });
  }

  send(request: Request<P>): void {
    const schema = schemas[this.#protocol].request;
    const node = this.#first
      ? { node: { id: this.#nodeId, metadata: this.#metadata, userAgentName: this.#userAgentName } }
      : {};
    this.#first = false;
    this.#call.write(Buffer.from(toBinary(schema, create(schema, { ...request, ...node } as never) as never)));
  }

  async next(): Promise<Response<P>> {
    for (;;) {
      const response = this.#responses.shift();
      if (response !== undefined) return response;
      if (this.#failed.error !== undefined) throw this.#failed.error;
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
  }

  /** The number of received responses that the test has not taken. */
  get waiting(): number {
    return this.#responses.size;
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }
}
