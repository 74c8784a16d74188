import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { Answer } from "./answer.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

/** The connection (HTTP/1.1) or stream (HTTP/2) on which an exchange responds. */
export interface ExchangeOwner {
  readonly info: ConnectionInfo;
  readonly isHttp2: boolean;
  /** `keepAlive`: the client wants to use the connection again. */
  createAnswer(
    context: ExchangeContext,
    config: HttpConnectionConfig,
    request: ExchangeRequest,
    keepAlive: boolean,
  ): Answer;
  pauseRequest(): void;
  resumeRequest(): void;
  /**
   * The upstream has answered before the client sent the whole request, and that answer cost its connection. Called
   * before {@link exchangeEnded}.
   */
  upstreamLost(): void;
  /**
   * The response is complete. The connection continues with the next request (`more`: at once, otherwise after a drain)
   * or closes. `leaves`: the client should use another connection, because this proxy's own application cannot be
   * reached.
   */
  exchangeEnded(keepAlive: boolean, more: boolean, leaves?: boolean): void;
  /** Bytes moved, so the idle time starts again. */
  touch(): void;
  /** Lets the client's bytes go to `Exchange.clientBytes` from now on. */
  switchToTunnel(): void;
  /** The tunnel's other end has ended its side. */
  endTunnel(): void;
  /** A response was cut off, so nothing valid can follow on this connection or stream. */
  abort(): void;
}
