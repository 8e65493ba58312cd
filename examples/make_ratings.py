"""Write the ratings of people that do not exist: ratings.csv, ratings-later.csv, films.csv and users.csv.

    python make_ratings.py [FOLDER]

Every user has a taste: a mean, a liking for some genres, for old or new films, and for two hidden properties that no column tells.
Users rate what they like more often than what they do not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

USERS, FILMS, HIDDEN = 240, 160, 2
GENRES = ("action", "comedy", "crime", "documentary", "drama", "fantasy", "romance", "war")


def main(folder: Path) -> None:
    """Draw and write."""
    draw = np.random.default_rng(0)
    genres = draw.random((FILMS, len(GENRES))) < 0.22
    genres[np.arange(FILMS), draw.integers(0, len(GENRES), FILMS)] = True
    year = draw.integers(1960, 2021, FILMS)
    known = np.column_stack([genres - genres.mean(0), (year - 1990) / 18])
    hidden = draw.normal(size=(FILMS, HIDDEN))
    quality, fame = draw.normal(0, 0.4, FILMS), draw.normal(0, 0.9, FILMS)
    taste = np.column_stack([draw.normal(0, 0.6, (USERS, len(GENRES))), draw.normal(0, 0.3, USERS)])
    liking = taste @ known.T + draw.normal(0, 0.4, (USERS, HIDDEN)) @ hidden.T  # (USERS, FILMS)
    stars = 3.5 + draw.normal(0, 0.4, USERS)[:, None] + quality + liking + draw.normal(0, 0.6, liking.shape)
    stars = np.clip(np.round(2 * stars) / 2, 0.5, 5.0)

    rows = []
    for user in range(USERS):
        chance = np.exp(fame + 0.8 * liking[user])
        films = draw.choice(FILMS, draw.integers(12, 32), replace=False, p=chance / chance.sum())
        days = np.sort(draw.integers(0, 365, len(films)))
        rows += [(user, film, stars[user, film], day) for film, day in zip(films, days, strict=True)]
    user, film, rating, day = (np.array(column) for column in zip(*rows, strict=True))
    later = np.append(user[1:] != user[:-1], True) | np.append(user[2:] != user[:-2], [True, True])  # the last two of each user
    films = pl.DataFrame(
        {
            "film": [f"f{i:03}" for i in range(FILMS)],
            "genres": ["|".join(np.array(GENRES)[row]) for row in genres],
            "year": year,
        }
    )
    ratings = pl.DataFrame(
        {
            "user": [f"u{i:03}" for i in user],
            "film": [f"f{i:03}" for i in film],
            "rating": rating,
            "day": np.datetime64("2024-01-01") + day.astype("timedelta64[D]"),
        }
    ).join(films, on="film", how="left", maintain_order="left")
    order = draw.permutation(len(ratings))
    ratings[order[~later[order]]].write_csv(folder / "ratings.csv")
    ratings[order[later[order]]].write_csv(folder / "ratings-later.csv")
    films.write_csv(folder / "films.csv")
    ratings.select("user").unique().sort("user").write_csv(folder / "users.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
