import { createServer } from "node:net";
import { userError } from "../../src/base/index.ts";

/**
 * Holds `name` until the process ends, so that only one demo runs at a time: its lab has a fixed name, and a second
 * demo would remove it. The name is an abstract socket of the kernel, which a crash releases too.
 *
 * @throws a user error if another process holds the name
 */
export async function holdDemo(name: string): Promise<void> {
  const holder = createServer();
  holder.unref();
  await new Promise<void>((resolve, reject) => {
    holder.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "EADDRINUSE" ? userError("script-failed", runningText) : error),
    );
    holder.listen({ path: `\0${name}` }, resolve);
  });
}

const runningText =
  "another demo of this user is running, and a second one would remove its lab. Wait until it ends, or end it with Ctrl-C";
