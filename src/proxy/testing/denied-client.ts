import { connect } from "node:net";

/** How a connection ends for a client that writes to it at once: `end`, or the code of the error. */
export async function outcomeAt(port: number): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("x".repeat(4_000)));
    socket.on("end", () => resolve("end"));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.resume();
  });
}
