import type { RequestListener } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { Writable } from "node:stream";

const piece = Buffer.alloc(16_384);

/** Answers that never end, to test clients that must stop reading. */
export class EndlessAnswers {
  #open = 0;

  get open(): number {
    return this.#open;
  }

  readonly http: RequestListener = (_request, response) => this.fill(response);

  readonly grpc = (stream: ServerHttp2Stream): void => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    this.fill(stream);
  };

  /** Writes an endless body. The caller must have written the head. */
  fill(answer: Writable): void {
    this.#open += 1;
    answer.on("close", () => (this.#open -= 1));
    const sendOn = (): void => {
      while (!answer.destroyed && answer.write(piece));
    };
    answer.on("drain", sendOn);
    sendOn();
  }
}
