import type { components } from "./schema.js";

type Told = components["schemas"]["Error"]["error"];

/** A refusal. Programs compare `reason` (docs/errors.md lists them), people read `message`. */
export class HarmoniaError extends Error {
  readonly code: string;
  readonly reason: string;
  readonly field: string;
  readonly requestId: string;

  constructor(
    told: Told,
    /** Of the HTTP answer; 0 when there was none. */
    readonly status: number,
    /** When asking again makes sense, where the server said so. */
    readonly retryAfterS?: number,
  ) {
    super(told.message);
    this.name = "HarmoniaError";
    this.code = told.code;
    this.reason = told.reason;
    this.field = told.field;
    this.requestId = told.request_id;
  }

  /** The same request may succeed when it is sent again. */
  get retryable(): boolean {
    return this.code === "UNAVAILABLE" || this.code === "DEADLINE_EXCEEDED" || this.reason === "TOO_MANY_CALLS";
  }
}

export function unreachable(cause: unknown): HarmoniaError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const error = new HarmoniaError(
    { code: "UNAVAILABLE", reason: "UNREACHABLE", field: "", message: `the server did not answer: ${message}`, request_id: "" },
    0,
  );
  error.cause = cause;
  return error;
}

export async function refusal(answer: Response): Promise<HarmoniaError> {
  const after = Number(answer.headers.get("retry-after") ?? NaN);
  return new HarmoniaError(await told(answer), answer.status, Number.isNaN(after) ? undefined : after);
}

async function told(answer: Response): Promise<Told> {
  const text = await answer.text();
  try {
    return (JSON.parse(text) as components["schemas"]["Error"]).error;
  } catch {
    // a proxy's answer, or the server's own before it read the request
    const code = answer.status === 429 ? "RESOURCE_EXHAUSTED" : answer.status >= 500 ? "UNAVAILABLE" : "INVALID_ARGUMENT";
    const message = `${answer.status} ${answer.statusText}: ${text.slice(0, 200)}`;
    return { code, reason: "MALFORMED", field: "", message, request_id: answer.headers.get("x-request-id") ?? "" };
  }
}
