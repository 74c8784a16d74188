// A gRPC server that answers `hello` with `hello from <pod>`. Its service is that of echo.proto. The port is the first
// argument, or 7070.
import { hostname } from "node:os";
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { decodeEcho, encodeEcho, sayPath } from "./echo-message.ts";

const [port = "7070"] = process.argv.slice(2);
const pod = process.env["HOSTNAME"] ?? hostname();
/** Some clients do not know yet that this pod ends, so serve them a moment longer. */
const lingerMs = 500;

const service: ServiceDefinition = {
  Say: {
    path: sayPath,
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeEcho,
    requestDeserialize: decodeEcho,
    responseSerialize: encodeEcho,
    responseDeserialize: decodeEcho,
  },
};

const server = new Server();
server.addService(service, {
  Say: ({ request }: ServerUnaryCall<string, string>, answer: sendUnaryData<string>) =>
    answer(null, `${request} from ${pod}`),
});
server.bindAsync(`0.0.0.0:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  process.stdout.write(`grpc-echo listens on port ${port}\n`);
});
process.on("SIGTERM", () => void setTimeout(() => server.tryShutdown(() => process.exit(0)), lingerMs));
