// Uses libuv's handles directly, because a client shares the cores with the program under test. In this way, a
// connection costs the client about 40 µs, and most of that is in the kernel.
import { getSystemErrorName } from "node:util";
import { libuvBinding, uvEndOfFile } from "../../src/net/libuv-binding.ts";
import type { Failure } from "./clients.ts";
import type { Exchange } from "./rate-client.ts";

const kindOf: Readonly<Record<string, Failure>> = { ECONNREFUSED: "refused", ECONNRESET: "reset", EPIPE: "reset" };

/**
 * Returns an exchange that sends the target's number of bytes, ends its own side, and waits for the same number of
 * bytes and for the peer's end.
 */
export function plainExchange(): Exchange {
  const binding = libuvBinding();
  if (binding === undefined) throw new Error("this Node lacks the bindings that the client uses");
  /** One buffer for all connections, because only the number of received bytes matters. */
  const received = Buffer.alloc(64);
  return ({ port, messageBytes }, address, done) => {
    const handle = binding.newSocket();
    let closed = false;
    let receivedBytes = 0;
    const close = (): void => {
      closed = true;
      handle.close();
    };
    const finish = (failure: Failure | undefined): void => {
      if (closed) return;
      close();
      done(failure);
    };
    handle.onread = () => {
      const result = binding.readResult();
      if (result >= 0) receivedBytes += result;
      else if (result !== uvEndOfFile) finish(failureOf(result));
      else finish(receivedBytes === messageBytes ? undefined : "cut off");
      return undefined;
    };
    const request = binding.newConnectRequest();
    request.oncomplete = (status) => {
      if (closed) return;
      if (status !== 0) return finish(failureOf(status));
      handle.useUserBuffer(received);
      handle.readStart();
      if (messageBytes > 0) handle.writeBuffer(binding.newWriteRequest(), Buffer.alloc(messageBytes));
      const end = binding.newShutdownRequest();
      end.oncomplete = () => undefined;
      handle.shutdown(end);
    };
    const status = handle.connect(request, address, port);
    if (status !== 0) finish(failureOf(status));
    return close;
  };
}

function failureOf(status: number): Failure {
  const name = getSystemErrorName(status);
  return kindOf[name] ?? name;
}
