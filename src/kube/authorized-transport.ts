import type { Credentials, RequestCredentials } from "./credentials.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

/** Sends requests with the credentials of a config, which may change. Closing it closes the transport. */
export class AuthorizedTransport {
  readonly #transport: Transport;
  readonly #credentials: Credentials;
  #used: RequestCredentials | undefined;

  constructor(transport: Transport, credentials: Credentials) {
    this.#transport = transport;
    this.#credentials = credentials;
  }

  /**
   * Sends a request with the current credentials. After a 401, sends it once more with new credentials, if they can
   * change. Rejects with a transient error if the server cannot be reached, and with a user error if there are no
   * credentials.
   */
  async send(request: TransportRequest): Promise<TransportResponse> {
    const used = await this.#credentials.current(request.signal);
    const response = await this.#sendWith(used, request);
    if (response.status !== 401 || !this.#credentials.rotates) return response;
    response.body.resume();
    this.#credentials.forget(used);
    return await this.#sendWith(await this.#credentials.current(request.signal), request);
  }

  async #sendWith(credentials: RequestCredentials, request: TransportRequest): Promise<TransportResponse> {
    // The client certificate belongs to the connection, so another certificate needs a new connection.
    if (this.#used !== undefined && this.#used.clientCertificate !== credentials.clientCertificate)
      this.#transport.renew();
    this.#used = credentials;
    return await this.#transport.send({ ...request, headers: { ...request.headers, ...credentials.headers } });
  }

  close(): void {
    this.#transport.close();
  }
}
