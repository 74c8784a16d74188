import { SeqpacketServer, type SeqpacketConnection } from "../../net/index.ts";
import {
  decodeZdsHello,
  decodeZdsResponse,
  encodeZdsRequest,
  type ZdsHello,
  type ZdsRequest,
  type ZdsResponse,
} from "../../wire/zds/index.ts";

interface Greeted {
  readonly connection: SeqpacketConnection;
  readonly hello: ZdsHello;
}

/** The CNI agent's end of one ztunnel's socket. */
export class PlayedAgent {
  readonly #greeted = Promise.withResolvers<Greeted>();
  /** The handlers of outstanding responses, in the order of the requests. The ztunnel responds in the same order. */
  readonly #answers: ((answer: ZdsResponse) => void)[] = [];
  #hasGreeted = false;

  static listen(path: string): PlayedAgent {
    const agent = new PlayedAgent();
    const server = SeqpacketServer.listen(path, (connection) => {
      server.close();
      connection.start({
        message: ({ bytes }) => agent.#receive(connection, bytes),
        close: () => undefined,
      });
    });
    return agent;
  }

  async hello(): Promise<ZdsHello> {
    return (await this.#greeted.promise).hello;
  }

  async send(message: ZdsRequest, descriptors: readonly number[] = []): Promise<ZdsResponse> {
    const { connection } = await this.#greeted.promise;
    return await new Promise((resolve) => {
      this.#answers.push(resolve);
      connection.send(encodeZdsRequest(message), descriptors);
    });
  }

  #receive(connection: SeqpacketConnection, bytes: Buffer): void {
    if (this.#hasGreeted) this.#answers.shift()?.(decodeZdsResponse(bytes));
    else this.#greeted.resolve({ connection, hello: decodeZdsHello(bytes) });
    this.#hasGreeted = true;
  }
}
