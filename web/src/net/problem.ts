/** What went wrong, for people: a code of ocg/errors.py, a message, and what to do. */
export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** A Problem that is thrown. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message);
  }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  return { code: "internal", message: error instanceof Error ? error.message : String(error), hint: "" };
}
