// Takes the place of MetalLB's controller and speaker. The lab's own controllers assign and announce addresses, so the
// pods of MetalLB's manifest only have to be healthy. Answers every request on the probes' ports with 200.

// An import would load every export of node:http, and its WebSocket loads all of undici.
const { createServer } = process.getBuiltinModule("node:http");

const portFlag = process.argv.find((argument) => argument.startsWith("--port="))?.slice("--port=".length);
const healthPort = 17_472;

for (const port of new Set([Number(portFlag ?? 7472), healthPort])) {
  createServer((_request, response) => response.end("ok\n")).listen(port, "0.0.0.0", () =>
    process.stdout.write(`listening on ${port}\n`),
  );
}
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
