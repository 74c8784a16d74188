// Stands for MetalLB's controller and speaker: the lab's own controllers hand out and announce addresses, so that the
// pods of MetalLB's manifest only have to be healthy. Answers every request with 200, on the ports that the probes ask.
import { createServer } from "node:http";

const asked = process.argv.find((argument) => argument.startsWith("--port="))?.slice("--port=".length);
const healthPort = 17_472;

for (const port of new Set([Number(asked ?? 7472), healthPort])) {
  createServer((_request, response) => response.end("ok\n")).listen(port, "0.0.0.0", () =>
    process.stdout.write(`listening on ${port}\n`),
  );
}
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
