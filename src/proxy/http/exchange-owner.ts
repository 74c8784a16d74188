import type { ConnectionInfo } from "../connection-info.ts";
import type { Answer } from "./answer.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";

/** What an exchange answers on: a connection of HTTP/1.1, or a stream of HTTP/2. */
export interface ExchangeOwner {
  readonly info: ConnectionInfo;
  readonly isHttp2: boolean;
  createAnswer(context: ExchangeContext, request: ExchangeRequest): Answer;
  pauseRequest(): void;
  resumeRequest(): void;
  /**
   * The answer is complete; the connection goes on with the next request (`more`: at once, else after a drain), or closes. `leaves`: the
   * client had better come back by another connection, as this proxy's own application cannot be reached.
   */
  exchangeEnded(keepAlive: boolean, more: boolean, leaves?: boolean): void;
  /** Bytes moved: the idle limit starts anew. */
  touch(): void;
  /** From now on the client's bytes go to `Exchange.clientBytes`. */
  switchToTunnel(): void;
  /** The tunnel's other end has ended its side. */
  endTunnel(): void;
  /** An answer was cut short: nothing sensible can follow on this connection, or this stream. */
  abort(): void;
}
