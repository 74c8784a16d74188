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
  /** The memory for what its requests contain. */
  readonly memory: ExchangeMemory;
  readonly isHttp2: boolean;
  /** `keepAlive` says whether the client wants to use the connection again. */
  createAnswer(config: HttpConnectionConfig, request: ExchangeRequest, keepAlive: boolean): Answer;
  pauseRequest(): void;
  resumeRequest(): void;
  /**
   * Called, before {@link exchangeEnded}, if the upstream answered before the client had sent the whole request, so
   * that the connection to the upstream was lost.
   */
  upstreamLost(): void;
  /**
   * Called when the response is complete. The connection continues with the next request, or closes. With `more`, it
   * continues at once, and otherwise after its output has drained. `leaves` says that the client should use another
   * connection, because this proxy's own application cannot be reached.
   */
  exchangeEnded(keepAlive: boolean, more: boolean, leaves?: boolean): void;
  /** Called when bytes have moved. The idle time starts again. */
  touch(): void;
  /** Lets the client's bytes go to `Exchange.clientBytes` from now on. */
  switchToTunnel(): void;
  /** Called when the tunnel's other end has ended its side. */
  endTunnel(): void;
  /** Called when a response was cut off. Nothing valid can follow on this connection or stream. */
  abort(): void;
}
