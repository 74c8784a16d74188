import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { Answer } from "./answer.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeMemory } from "./exchange-memory.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

/** The connection (HTTP/1.1) or stream (HTTP/2) on which an exchange responds. */
export interface ExchangeOwner {
  readonly info: ConnectionInfo;
  readonly context: ExchangeContext;
  /** The memory that the exchanges of this connection use one after another. */
  readonly memory: ExchangeMemory;
  readonly isHttp2: boolean;
  /** `keepAlive` says whether the client wants to use the connection again. */
  createAnswer(config: HttpConnectionConfig, request: ExchangeRequest, keepAlive: boolean): Answer;
  pauseRequest(): void;
  resumeRequest(): void;
  /**
   * Called before {@link exchangeEnded} if an HTTP/1.1 upstream responded before the client had sent the whole request.
   * The connection to the upstream was then lost.
   */
  upstreamLost(): void;
  /**
   * Called when the response is complete. The connection continues with the next request, or closes. With `more`, it
   * continues at once; otherwise it waits until its output has left. With `leaves`, the client should use another
   * connection, because this proxy's own application cannot be reached.
   */
  exchangeEnded(keepAlive: boolean, more: boolean, leaves?: boolean): void;
  /** Called when bytes have moved. The idle time starts again from 0. */
  touch(): void;
  /** Passes the client's bytes to `Exchange.clientBytes` from now on. */
  switchToTunnel(): void;
  /** Called when the tunnel's other end has ended its side. */
  endTunnel(): void;
  /** Called when a response was cut off, so that nothing valid can follow on this connection or stream. */
  abort(): void;
}
