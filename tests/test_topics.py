"""What an article is about: ``classify_topics``, on snippets made up for these tests."""

from __future__ import annotations

import pickle
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.topics import (
    MODEL_VERSION,
    REPORTED_SCORE,
    UNCLASSIFIED,
    TopicModel,
    build_lexicon,
    classify_topics,
    normalise_word,
    parse_terms,
    slug_of,
)

MODEL = TopicModel.load()
DISASTER = "disaster-accident-and-emergency-incident"

# Per concept: (title, body) as a news desk might write them. Invented, every one.
SNIPPETS = {
    "arts-culture-entertainment-and-media": [
        (
            "Small island drama takes top prize at lagoon film festival",
            "A first-time director who shot her movie on a fishing boat won the jury's main award"
            " on Sunday. The leading actor, a retired ferryman, had never stood before a camera.",
        ),
        (
            "Folk trio return with album written in a lighthouse",
            "The singers spent a winter recording twelve songs with a borrowed piano. A tour of "
            "small venues follows in May.",
        ),
        (
            "Regional daily to stop printing after 140 years",
            "Journalists at the newspaper were told on Tuesday that it will be published online "
            "only. The editor said readers had moved to their phones.",
        ),
        (
            "Lost portrait goes on show at city museum",
            "The painting, found behind a wardrobe, is the centrepiece of an exhibition on the "
            "forgotten women of the Vell school. Curators spent a year restoring it.",
        ),
        (
            "Novelist Ada Quill on memory, mothers and the long second act",
            "Her third book moves between two centuries. She says that poetry taught her to cut, "
            "and that fiction taught her to wait.",
        ),
    ],
    "conflict-war-and-peace": [
        (
            "Shelling resumes along the Orra river hours after truce",
            "Artillery fire hit three villages overnight, residents said, as each army blamed the"
            " other for breaking the ceasefire. At least nine soldiers were killed.",
        ),
        (
            "Spy chiefs of rival neighbours meet over troops on the border",
            "The heads of intelligence of both states held talks for the first time in six years. "
            "Damar wants the full withdrawal of foreign forces from its north, where militias "
            "backed by its neighbour hold two towns.",
        ),
        (
            "Leader of jihadist group killed in raid, premier says",
            "Security forces shot dead the commander, one of the region's most wanted militants, "
            "in an operation backed by coalition aircraft.",
        ),
        (
            "Drones fired by militia strike port city",
            "An armed group allied with the regime claimed the attack, saying it would go on "
            "until the bombardment of the enclave ends. Air defences shot down two more.",
        ),
        (
            "Rebels lay down weapons as peace accord takes hold",
            "The last guerrilla column handed its rifles to observers on Friday, ending a civil "
            "war of nineteen years. Former fighters will live in camps under peacekeepers' guard.",
        ),
    ],
    "crime-law-and-justice": [
        (
            "Man jailed for string of chapel lead thefts",
            "A judge sentenced him to four years in prison after he pleaded guilty to eleven "
            "burglaries. Police traced him through a scrapyard's cameras.",
        ),
        (
            "Appeal court overturns ferry ticket fraud conviction",
            "Three judges ruled that the jury had been misdirected. Prosecutors have two weeks to"
            " ask for a retrial.",
        ),
        (
            "Detectives open murder inquiry after body found in canal",
            "Officers arrested a suspect aged 31 on Thursday and searched a flat nearby.",
        ),
        (
            "Customs seize cocaine hidden in crates of tiles",
            "Investigators believe a smuggling gang had bribed two harbour guards. Both were "
            "charged.",
        ),
        (
            "Tenants sue over listening devices in hallways",
            "The lawsuit, filed in the district court, says the recordings broke the law. Lawyers"
            " for the landlord deny the allegations.",
        ),
    ],
    "disaster-accident-and-emergency-incident": [
        (
            "Quake of magnitude 6.4 shakes mountain province",
            "Rescuers dug through rubble by hand after dozens of houses collapsed. The death toll"
            " rose to 41 by nightfall, and aftershocks kept survivors in tents.",
        ),
        (
            "Ferry with 90 aboard sinks off reef",
            "Coastguard boats pulled 71 people from the water; the rest are missing. Passengers "
            "said the vessel capsized within minutes.",
        ),
        (
            "Blaze guts textile market",
            "Firefighters took nine hours to put out the flames. Two people were injured by smoke"
            " and the roof is in danger of collapse.",
        ),
        (
            "Floods cut off valley towns",
            "Helicopters rescued families from rooftops after the river burst its banks. "
            "Thousands were evacuated and a bridge was swept away.",
        ),
        (
            "Night express derails near Halden, killing four",
            "Emergency crews worked to free people trapped in two carriages. Investigators are "
            "looking at a broken rail.",
        ),
    ],
    "economy-business-and-finance": [
        (
            "Central bank holds rates as inflation eases",
            "Consumer prices rose 3.1% in the year to June, the least since the spring. Economists "
            "expect a first cut in the autumn.",
        ),
        (
            "Toolmaker Brandt lifts profit forecast",
            "Shares rose 6% after the company said third-quarter revenue had beaten analysts' "
            "estimates, helped by orders from carmakers.",
        ),
        (
            "Grocer agrees to buy rival for $2.4bn",
            "The takeover would make it the country's second-largest supermarket chain. Regulators "
            "have yet to approve the deal.",
        ),
        (
            "Oil slips below $70 as producers raise output",
            "Crude futures fell for a fourth day. Traders doubt that demand will keep up.",
        ),
        (
            "Family brewery files for bankruptcy after costs surge",
            "Creditors are owed 18 million euros. The owner blames the price of energy and weak "
            "sales.",
        ),
    ],
    "education": [
        (
            "Pupils back in class as rural schools reopen",
            "Teachers greeted children in forty primary schools shut since the storm. Lessons "
            "will run on Saturdays until the lost weeks are made up.",
        ),
        (
            "University drops entrance exam for adult students",
            "Applicants over 25 will instead be judged on coursework. The college says the test "
            "kept out good candidates.",
        ),
        (
            "Ministry rewrites maths curriculum",
            "Textbooks will change from next term. Headteachers welcomed the plan but asked for "
            "more training.",
        ),
        (
            "Student debt passes record as tuition fees climb",
            "Graduates now leave with twice what their parents owed, a report on higher education"
            " says.",
        ),
        (
            "Village kindergarten wins reprieve",
            "Parents had protested against the closing of the nursery school, which teaches "
            "nineteen children.",
        ),
    ],
    "environment": [
        (
            "Beavers return to marsh after two centuries",
            "Conservationists released three pairs into the nature reserve on Monday. Their dams "
            "should help the wetland's other wildlife.",
        ),
        (
            "Emissions of methane rise again, survey finds",
            "Greenhouse gases from landfill have climbed for a fifth year, the environment agency"
            " said, putting climate targets at risk.",
        ),
        (
            "Plastic chokes nesting beaches of rare turtle",
            "Volunteers cleared six tonnes of waste. The species is endangered and breeds on two "
            "islands only.",
        ),
        (
            "Loggers leave last old forest of the south",
            "The state will protect 9,000 hectares of woodland that is home to wolves and owls. "
            "Deforestation had halved it since 1980.",
        ),
        (
            "River runs red as dye works breaks pollution rules",
            "Toxic waste killed fish for eleven miles downstream, ecologists say.",
        ),
    ],
    "health": [
        (
            "Measles cases double as vaccination slips",
            "Doctors urged parents to have children immunised. Two patients are in intensive care.",
        ),
        (
            "Hospital waits grow to nine months for hip surgery",
            "Surgeons say that beds, not staff, are the shortage. The health service promised new"
            " wards.",
        ),
        (
            "Pill halves migraine days in trial",
            "Patients who took the drug had fewer symptoms and mild side effects, neurologists "
            "report.",
        ),
        (
            "Dengue spreads to the highlands",
            "The health ministry has recorded 400 infections of the virus. Clinics are short of "
            "blood.",
        ),
        (
            "More young men seek help for depression",
            "Therapists welcome the change but warn that mental health clinics cannot keep up.",
        ),
    ],
    "human-interest": [
        (
            "Couple, both 101, celebrate 80th wedding anniversary",
            "They met at a dance and have not spent a birthday apart. The secret, she says, is "
            "cake.",
        ),
        (
            "Lost dog walks 60 miles home",
            "Biscuit the terrier turned up on the doorstep eleven days after vanishing on a "
            "picnic. Her owner burst into tears.",
        ),
        (
            "Baker sets world record for longest pretzel",
            "Guinness World Records confirmed the feat. Neighbours ate the evidence.",
        ),
        (
            "Crown prince to marry nurse he met in a lift",
            "The palace announced the royal wedding on Friday. The bride said she had taken him "
            "for a plumber.",
        ),
        (
            "Stranger returns lottery ticket worth a fortune",
            "The winner's wife called the act of kindness a miracle. They gave him half the "
            "jackpot.",
        ),
    ],
    "labour": [
        (
            "Dockers walk out over night shifts",
            "The union said 2,000 workers had joined the strike and pickets would stay until "
            "employers agree to talk about pay.",
        ),
        (
            "Minimum wage to rise by a tenth",
            "Unions welcomed the increase; employers warned of job cuts.",
        ),
        (
            "Jobless rate falls to 4.2%",
            "Unemployment is at its lowest for a decade as firms keep hiring, but wages lag.",
        ),
        (
            "Couriers win right to sick pay",
            "A tribunal found that the gig workers are employees. Their union called it a "
            "landmark for working conditions.",
        ),
        (
            "Steelworks to shed 900 jobs",
            "Staff were told of the redundancies at a shift change. The union is preparing a "
            "ballot for industrial action over the layoffs.",
        ),
    ],
    "lifestyle-and-leisure": [
        (
            "Plum tart, and what to do with the leftovers",
            "This recipe asks for ripe fruit, a hot oven and patience. Serve with cream; it "
            "tastes better at breakfast.",
        ),
        (
            "Three days in the salt towns: where to sleep and eat",
            "The best hotels are by the old harbour. Tourists come for the beach, but the "
            "restaurants are the reason to travel.",
        ),
        (
            "How to prune roses without fear",
            "Gardeners fuss too much about the cut. Wait for a dry weekend, and your garden will "
            "forgive you.",
        ),
        (
            "Board games are back, and cafes love them",
            "Players pay by the hour, order coffee and stay for a second puzzle. It is a hobby "
            "with cake.",
        ),
        (
            "Small flat, big sofa: a decorator's tips",
            "Pale wallpaper and low furniture make a living room look wider. Keep the lamps warm "
            "and the kitchen in view.",
        ),
    ],
    "politics": [
        (
            "Opposition wins by-election in coastal seat",
            "The candidate took 52 per cent of the vote. The prime minister called the result a "
            "warning from voters.",
        ),
        (
            "Foreign ministers agree to reopen embassies",
            "Diplomats from the two capitals signed an accord on normalising relations after "
            "bilateral talks. Ambassadors return next month.",
        ),
        (
            "Senate blocks budget after night of debate",
            "Lawmakers rejected the bill by three votes, leaving the government without a "
            "majority. The president may veto a shorter version.",
        ),
        (
            "Union extends sanctions on Verrin over treaty breach",
            "The bloc's leaders met at a summit in the capital. A spokesman for the foreign "
            "ministry in Verrin said diplomacy was at an end.",
        ),
        (
            "Mayor quits party over housing policy",
            "The city council is split before local elections. She will run as an independent, "
            "she told parliament's radio.",
        ),
    ],
    "religion": [
        (
            "New bishop calls for open church doors",
            "The cathedral was full for the first sermon. Priests from every parish took part in "
            "the mass.",
        ),
        (
            "Pilgrims fill the hill shrine for the saint's day",
            "Worshippers walked barefoot and prayed through the night. Monks gave them bread.",
        ),
        (
            "Mosque and synagogue share a kitchen",
            "The imam and the rabbi say that breaking the fast together came first and theology "
            "after.",
        ),
        (
            "Temple reopens after monsoon repairs",
            "Hindu devotees lit lamps for Diwali as priests blessed the new roof.",
        ),
        (
            "Pope to visit island diocese",
            "The Vatican said the pontiff will meet clergy and young Catholics.",
        ),
    ],
    "science-and-technology": [
        (
            "Probe sends first pictures from icy moon",
            "The spacecraft flew past at 30 km. Scientists at the space agency see signs of an "
            "ocean.",
        ),
        (
            "Chip maker shows processor that sips power",
            "The semiconductor runs artificial intelligence on a phone. Software developers get "
            "it first.",
        ),
        (
            "Fossil shows how early birds slept",
            "Palaeontologists scanned the skeleton in a laboratory. The study is in a journal "
            "this week.",
        ),
        (
            "Physicists weigh the neutrino again",
            "The experiment, run underground for six years, narrows the range. Theory had hoped "
            "for less.",
        ),
        (
            "Browser update closes security hole",
            "Hackers had used the flaw to steal passwords. Users should install the new version.",
        ),
    ],
    "society": [
        (
            "Rough sleepers outnumber beds in every big city",
            "Homelessness has doubled in ten years, charities say. Families in poverty make up a "
            "third.",
        ),
        (
            "Same-sex couples may adopt, island votes",
            "Campaigners for equality hugged in the square. Discrimination remains, they said.",
        ),
        (
            "One in four adults lives alone, census shows",
            "The population is older and families are smaller. Loneliness worries social workers.",
        ),
        (
            "Girls still marry at fifteen in the hill districts",
            "Child marriage is banned, but gender and caste decide. A charity pays families to "
            "wait.",
        ),
        (
            "Newcomers and neighbours: a street learns to mix",
            "Immigrants from nine countries share the block. Racism has faded, older residents "
            "say, as the community found a common cause.",
        ),
    ],
    "sport": [
        (
            "Late header sends Tarn Rovers top",
            "The striker scored in stoppage time for a 2-1 win. His coach praised the goalkeeper.",
        ),
        (
            "Oduya breaks 10,000m record in the rain",
            "The runner took gold by eleven seconds at the athletics championships.",
        ),
        (
            "Teenager through to first grand slam semi-final",
            "She saved two match points to beat the third seed 6-4 3-6 7-6.",
        ),
        (
            "Bowlers leave hosts in trouble on day two",
            "Four wickets fell before lunch. The captain was out for nine in the final Test of the "
            "series.",
        ),
        (
            "Harriers trade veteran quarterback",
            "The team gets two draft picks for next season. Fans were not told.",
        ),
    ],
    "weather": [
        (
            "Heavy snow and icy winds on the way",
            "Forecasters issued an amber warning for the north. Temperatures will fall to -9C by "
            "morning.",
        ),
        (
            "Heatwave to peak on Thursday",
            "Meteorologists expect 41C inland and thunderstorms by night.",
        ),
        (
            "A grey weekend, with sunshine to follow",
            "Showers will clear from the west. Fog may linger in valleys, the forecast says.",
        ),
        (
            "Wettest April since records began",
            "Rainfall was twice the average, the weather service said. It was also mild.",
        ),
        (
            "Monsoon arrives five days early",
            "Rain reached the southern coast with gusts of 60 km/h. The met office expects a wet "
            "season.",
        ),
    ],
}

# More of each kind, as a feed would bring them. Each is a heading [concept] or [language concept],
# then snippets: a line of title, the lines of the body, a blank line between two.
MINOR_TOPICS = """\
[labour]
Ferry crews to stay ashore for second weekend
Sailings between the islands were cancelled again on Friday after seafarers rejected the company's
latest offer. Their representatives want a pay deal that matches inflation and two more rest days a
month. The transport minister urged both sides to return to the table.

Bus drivers accept deal that ends six-week stoppage
Members voted by 61 per cent to take the 5% raise and go back to their depots on Monday. The
operator lost $4 million in fares, and city officials had threatened to bring in replacement staff.

Warehouse to pack with machines, 340 posts to go
Employees at the parcel centre were called to a meeting before dawn and told that most of the night
shift would not be needed after June. Those affected will be offered retraining or severance pay,
the firm said.

Court cleaners win fight over contract hours
The cleaners, most of them women from abroad, had been paid for three hours while working five.
After a month of picketing outside the ministry, the contractor agreed to back pay and holiday
entitlement.

Nurses' leaders call a ballot as rota talks fail
The association says its members are exhausted by twelve-hour shifts and unpaid overtime. Hospital
managers called the threat of a walkout disappointing and said services to patients would be
protected.

More than half of young graduates without steady work
Figures from the statistics office show that joblessness among people under 30 has reached its
highest level in eleven years. Most who found employment last year are on short contracts, without
pension or sick leave.

Orchard owners cannot find pickers
Farmers along the valley say a third of the crop may rot because seasonal workers no longer come.
They offer higher wages and free lodging, but recruiters say the jobs are hard, the housing poor
and visas slow.

Telephone company lets staff choose their own hours
The experiment gave 1,200 employees a four-day week on full pay. Productivity did not drop,
managers said, and fewer people resigned. Personnel chiefs of other firms have asked for the
results.

Garment workers march for owed wages
Several hundred seamstresses blocked the road to the port on Sunday, saying they have not been paid
since the factory changed hands. Police kept their distance. A labour inspector is to hear both
parties this week.

Retirement at 67 goes too far, says federation
The confederation of unions will fight the plan to raise the pension age, its president said,
because bricklayers and carers cannot work that long. The government argues that there are too few
contributors for each pensioner.

Pilots suspend strike for the holidays
The airline's cockpit crews will fly normally until January while a mediator looks at their
complaint over rosters. About 80,000 passengers were stranded last week. Negotiations on salaries
resume after the new year.

Inspectors find children at work in brick kilns
Twenty-three boys and girls under fourteen were carrying bricks for less than a dollar a day, the
employment ministry said. The owners were fined. Activists say enforcement of the minimum age is
rare.

Refuse collectors start work to rule
Bins overflowed in four districts after crews stuck to the letter of their contracts. They say that
two people now do what three did before. The council has invited their representatives to talks on
Tuesday.

Chipmaker freezes recruitment
No vacancies will be filled until spring, an internal memo says. Engineers were told that overtime
must be approved by the board. The works council fears cuts.

Shop assistants fight Sunday opening
Supermarket staff collected 30,000 signatures against longer hours. Their union says that families
suffer and that nobody earns more.
[environment]
Dam comes down and the salmon are back
Two summers after the old barrier was blown up, biologists have counted 4,000 fish on the upper
spawning grounds. Gravel has returned to the river bed, and with it insects, otters and herons. The
power company paid for the work.

Island bans plastic bags to save its seabirds
From next month shops may no longer hand them out. Half of the dead birds examined on the cliffs
last year had swallowed plastic, wardens said. Fishermen will be paid for the nets they bring
ashore.

Peat bog is being made wet again
Workers have blocked 40 kilometres of drainage ditches so that the moss can grow and store carbon.
The project, paid for by the regional government, is also meant to slow floods and bring back
curlews and dragonflies.

Air in capital worst for a decade
Schools kept children indoors on Wednesday as a brown haze of exhaust fumes and crop smoke hung
over the city. Readings of fine particles were nine times the recommended limit. The government
asked drivers to leave cars at home.

Village fights quarry that would eat its hill
Residents say the limestone ridge holds rare orchids and the springs they drink from. The company
promises to replant the slope. The environment minister has asked for a new impact assessment.

Wolves spread to the lowlands
Cameras have filmed pups in three provinces where the animal had been gone for 150 years. Sheep
farmers want permission to shoot; rangers say that fences and dogs are enough and the population is
still small.

Cities ordered to cut nitrogen in rivers
Fertiliser and waste water feed the algae that leave lakes without oxygen, the agency warned.
Treatment plants must be upgraded by 2030. Towns fear that the price of water will go up.

Bees thrive where the mower stays in the shed
Councils that stopped cutting road verges saw the number of wild flowers double, a survey of 90
parishes found. Butterflies and bumblebees followed. Some residents complained that the roadside
looked untidy.

Ocean was never so warm, buoys show
Surface waters in the northern basin were 1.3C above the long-term mean in July, threatening corals
and kelp. Researchers blame the burning of coal, oil and gas, with a natural cycle on top.

Rangers burn seized tusks and hides
Smoke rose over the savannah as officials destroyed three tonnes of ivory taken from traffickers.
The herd in the reserve has grown to 900 since patrols were armed, but demand for horn abroad
remains strong.

Turning the tide on rubbish: a bay cleans itself up
A floating barrier now stops bottles and tyres before they reach the mangroves. Volunteers sort
what it catches, and most is recycled. Crabs and egrets have come back to mudflats that smelled of
oil.

Government misses its own target for trees
Only a third of the promised woodland was planted last year, auditors say. Seedlings died in the
dry spring and landowners found the grants too low. Ministers insist that the country will still be
carbon neutral by 2045.

Eels climb the weir again
Brushes fixed to the concrete let the young fish wriggle up to the ponds where they grow. Anglers
and scientists counted thousands in a single night.

Lake shrinks to a third of its size
Irrigation for cotton has drained the tributaries, leaving salt flats and dead reeds. Pelicans have
gone. The governments on both shores blame each other.

Oaks older than the nation may fall for bypass
Protesters have camped in the canopy for a month. The road ministry says that 12,000 young trees
will be planted instead; botanists reply that the insects of old bark cannot move.
[human-interest]
Ring lost in potato field turns up on a carrot
A widow of 82 had given up hope of seeing it again when her grandson pulled the vegetable from the
ground. The gold band had slipped off her finger in 1978. She cried, then she laughed, he said.

Twins separated at birth meet on a train
They had the same laugh and the same coat. A passenger who knew one of them introduced her to the
other, and a test later proved what their faces had told the whole carriage. They have spoken every
day since.

Postman retires after walking twice round the world
He wore out 61 pairs of shoes on the same route and never missed a delivery. On his last morning
the whole street stood at their gates to shake his hand. Somebody had baked a cake in the shape of
a letter box.

Schoolboy's note reaches stranger nine thousand kilometres away
He threw the bottle off a pier when he was seven. Now 31, he has been sent a photograph of it by a
family who found it while walking their dog on a beach across the ocean.

Goat elected honorary mayor of hamlet
With nineteen votes the animal beat a tractor and a retired dentist. Its duties include opening the
summer fair and eating the ribbon. The owner said power had not changed it.

Princess leaves hospital with baby son
Crowds cheered outside as the couple showed the newborn, third in line to the throne. The name will
be announced after the king has seen him, the palace said. Mother and child are doing well.

Man builds cathedral of matchsticks in his bedroom
It took him 27 years and, by his own count, two million matches. His wife says she has forgiven him
for the smell of glue. The model is so large that a wall will have to come down to get it out.

Train stops for cat, and a friendship begins
The driver climbed down, picked up the kitten and took it to the next station, where the ticket
clerk adopted it. Passengers now bring fish. The railway has given the animal a cap and an unpaid
post.

Great-grandmother jumps from plane at 95
She had promised her late husband that she would try it one day. Strapped to an instructor, she
waved all the way down and asked when she could go again. The jump raised money for a hospice.

Actress who vanished from public life dies at 91
Neighbours knew her as the lady with the geese. Only at her funeral did the village learn that she
had once been famous. Tributes came from colleagues who had not heard from her in fifty years.

Blind runner finds his rescuer after 40 years
He was four when a miner carried him out of the burning house. He knew only a first name and a
voice. A radio appeal brought the two men together last week, and they held hands for an hour.

Couple invite whole bus to their wedding
They had met on the number 9, so it seemed only right. Forty regular passengers and two drivers
danced until morning. The bride arrived, a little late, by bus.

Class of 1958 meets on the same bench
Eleven of them came, one in a wheelchair and one from Chile. They ate sausages, laughed at the old
jokes and sang the song about the teacher.

Parrot calls fire brigade
The bird imitated the smoke alarm so well that a neighbour dialled the emergency number. Nobody was
hurt. The owner has promised the crew a cake.

Duchess opens toy hospital
She brought her own bear, which has one ear. The royal visitor sewed on a button and was given an
apron by the children.
[society]
Half of tenants spend most of their income on rent
Single parents and pensioners are hit hardest, a study by a housing charity says. Many have moved
in with relatives or share rooms with strangers. The minister promised 20,000 social homes.

Old people's village opens its doors to students
The young residents pay nothing and give thirty hours a month of company: shopping, cards, a walk.
Staff say that it has done more against loneliness than any programme. There is a waiting list on
both sides.

Women in three provinces may now inherit land
The change to customary law ends a rule under which widows lost their homes to their husband's
brothers. Women's groups had campaigned for it for two decades. Elders say it will take a
generation to be accepted.

Fewer babies than ever, and nobody agrees why
Births fell for the ninth year in a row, the statistics office said, to 1.1 children per woman.
Couples name the cost of flats and the lack of nurseries; sociologists point to a change in what
people want from life.

Roma families fear eviction from riverside settlement
About 300 people have lived there since the nineties without water or electricity. The city wants
the ground for a park. A human rights group says that the families were offered nothing else and
that the children will lose their school places.

Food parcels now go to people with jobs
One in five households that came for help last winter had someone in work, the charity that runs
the depots said. Volunteers have seen teachers in the queue. Donations, meanwhile, have fallen.

Deaf couples press for sign language in every office
The bill would give them the right to an interpreter at the doctor's, in court and at school.
Associations of disabled people call it a matter of dignity. About 90,000 people in the country
sign as their first language.

Refugees and locals share one allotment
On Saturdays the families from Syria and Eritrea dig beside pensioners who were born in the street.
Few words are needed, says the social worker who began it. Neighbours who had signed a petition
against the hostel now bring seedlings.

Fathers take leave, but only for two weeks
Most men still leave the care of infants to mothers, a survey of 8,000 parents has found. Those
with higher incomes stay home longer. Researchers say that expectations among friends and family
matter more than the law.

Town argues over who may call it home
Newcomers from the city have pushed up the price of cottages, and people who grew up here cannot
find a place. At a meeting in the village hall some demanded that second homes be taxed. Others
said the newcomers keep the shop alive.

Bullied for being gay, teenager takes story to classrooms
He tells pupils what the insults did to him. Helplines for young people report more calls about
homophobia than in any year since they opened. His parents, who once threw him out, now come along.

Hidden hunger in the suburbs
Behind tidy hedges, social workers find families who skip meals to pay for heating. Shame keeps
them from asking, says a report on poverty by four welfare organisations. Child benefit has not
risen in seven years.

More men work as midwives, and mothers shrug
A survey of families suggests that gender matters less than it did to their parents. Older people
were more doubtful.

Night bus becomes shelter for the homeless
When the last line stops, volunteers hand out blankets and soup. Some forty people sleep in the
seats. The charity says that most lost a flat after a divorce.

Village of three religions and four languages gets a common school for parents
Immigrant mothers asked for it, because they could not read the letters. Neighbours now teach one
another on Thursdays.
[lifestyle-and-leisure]
Why your sourdough is flat, and how to mend it
Nine times out of ten the starter is hungry. Feed it with rye, leave it in a warm corner and wait
until it has doubled before you knead. The crust wants steam for the first fifteen minutes.

Night trains are back: five lines to wake up by the sea
Book the upper bunk, bring a scarf and something to eat. The fares are higher than a cheap flight,
but you save a night in a hotel and step out in the middle of town with the cafes just opening.

A balcony full of tomatoes
You need a deep pot, a stake and six hours of sun. Pinch out the side shoots, water in the morning
and never the leaves. By August you will be giving them away to the neighbours.

Wide trousers and no tie: what to wear to a summer wedding
Linen creases, and this year nobody minds. Choose a pale colour, leave the jacket open and spend
what you saved on shoes. Guests who dance should avoid heels on grass.

Weekend walk: over the heath to the old signal tower
The path starts behind the station and climbs gently for two miles. Bring boots after rain. There
is a pub at the half-way point with a fire, good pies and a terrace that looks down on the bay.

The chef who cooks only what washes ashore
Her twelve seats are booked until March. Seaweed comes pickled, cockles in brown butter, and
pudding is flavoured with dune roses. Diners pay what they think it was worth.

Chess cafes draw a crowd that has never read an opening
Between the espresso machine and the window, beginners push pawns over a beer. Organisers of the
evenings say that people are tired of screens. Most come back, and some bring their own boards.

Small cars, big boot: three used models worth a look
All three cost less than 9,000 and are easy to park. The oldest has the best seats, the newest the
lowest consumption. Check the clutch, and walk away if the service book is missing.

Ten minutes of stretching before bed
You do not need a mat or an app. Lie on your back, pull one knee up and breathe out slowly.
Teachers say a short habit kept for a month does more than a gym card used twice.

Island without cars wants fewer day trippers
From Easter visitors will pay five euros to step off the boat. Innkeepers hope that guests will
stay longer, eat better and see the beaches after six, when the crowds have gone. Cyclists go free.

How to paint a room in a day
Empty it, fill the holes, sand, and tape the edges before you open the tin. Start with the ceiling.
A second coat of the cheap brand covers better than one of the dear one, and a north-facing wall
asks for a warm white.

Model railway club opens its attic
The track runs for 300 metres past a brewery, a fairground and a circus. Members, the youngest nine
and the oldest ninety, meet on Tuesdays to solder and drink tea. They are looking for a bigger
attic.

The perfect omelette needs nothing but nerve
Three eggs, a lump of butter, a hot pan and no fork. Slide it out while the middle still trembles
and eat it at once.

Cottage by the dyke: a holiday among sheep
There is no television and no signal. There is a stove, a shelf of thrillers and a beach with
nobody on it from September.

Dog owners take to dancing
Waltz, tango or foxtrot: the hobby clubs say that the pets enjoy it, if there is sausage.
[religion]
Nuns sell convent and keep the bees
The last four sisters of the order will move to a house near the motorway. They will still rise for
prayers at five. The bishop thanked them for two centuries of hospital work.

Congregations swap buildings for a year
The Lutherans have a roof that leaks and the Baptists have too few people to heat theirs. So they
will worship together, with two pastors and one choir. Hymns have been the hardest thing to agree
on.

Thousands wash in holy river at dawn
Bathers waded in under a full moon to cleanse themselves of sin. Ascetics smeared with ash led the
procession down the steps. Police counted two million people on the first day of the festival.

Fasting month begins with sighting of the new moon
Believers will eat nothing from dawn to sunset for thirty days. In the old town tables are set out
each evening, and strangers are welcome to share dates and soup. The grand mufti asked the faithful
to remember the poor.

Bishops split over women at the altar
The synod ended without a vote on whether deaconesses may be ordained. Conservative delegates said
that tradition could not be put to a show of hands. The archbishop asked for patience and prayer.

Scroll saved from fire returns to its synagogue
The parchment was carried out under a coat in 1938 and spent eighty years in a drawer. It was
unrolled again on the Sabbath, and the rabbi's granddaughter read the first verses.

Court upholds right to wear turban on building sites
The Sikh carpenter had been sent home for refusing a helmet. Judges found that his faith weighed
more than the small risk. Community leaders welcomed a ruling that they said lets them be devout
and employed.

Monks' chanting fills stadium as teacher is mourned
Saffron robes covered the pitch. The abbot, who died at 96, had taught that anger is a fire one
lights in one's own house. His ashes will be placed in a stupa above the monastery.

Fewer children are christened, and more adults
The church counted 12,000 grown-up baptisms last year, twice as many as a decade ago. Priests say
that many come without any upbringing in the faith and ask harder questions. Overall membership
fell by three per cent.

Village keeps its procession of candles
On the eve of the patron's feast every household carries a light up to the chapel. This year the
vicar walked at the end, with an umbrella. Some have come back from abroad for it each year since
they left.

State stops collecting tithes for the churches
The arrangement dates from 1821. Catholic and Protestant leaders said parishes would have to sell
property, while humanists spoke of a late separation of church and state. Believers can go on
giving by standing order.

Young Muslims open a mosque that speaks their language
The Friday sermon is not in Arabic or Turkish, and women pray in the same hall. The imam grew up
round the corner. Older worshippers were sceptical, then came for the tea.

Chapel on the motorway draws lorry drivers
They light a candle, sit for ten minutes and drive on. The deacon who keeps the door says that few
speak, and that most cross themselves.

Ashes of the saint tour seven parishes
The casket was carried by seminarians through the rain. Believers queued to touch the glass.

Chief rabbi steps down after thirty years
He spoke up for dialogue with imams and priests. The community will choose a successor after the
high holidays.
[education]
School on wheels reaches herders' children
The bus parks beside the wells for a week at a time. Two teachers give reading and sums in the
morning and adults come in the evening. The ministry wants six more, but parents say that one that
came on time would do.

Exam board apologises for question nobody could answer
Some 40,000 sixteen-year-olds were asked to find an angle in a triangle that cannot exist. Everyone
will be given the marks. Teachers' leaders called for papers to be checked by people who have
taught.

Phones banned from breaktime
Pupils at 300 secondaries must hand in their devices at the gate. Heads who tried it say that the
playground is loud again. A pupils' council has asked that teachers do the same.

Professors paid to leave the capital
Provincial universities struggle to fill chairs in medicine and law. The new grants cover moving
costs and a laboratory. Students in the north say that they would settle for lectures that are not
cancelled.

Dyslexic boy's notebook becomes a method
His mother, a primary teacher, saw that he remembered letters he had walked along in sand. Forty
schools now use her cards and trays. An evaluation by the institute of education found that readers
caught up by a year.

Grants for poor families raised by a fifth
The money is meant to keep girls in class beyond the age of twelve. Last year one in three dropped
out, mostly to marry or to work. Villages without a secondary school will get boarding houses.

Apprentices return as masters
The college of carpentry had closed its doors for want of trainees. This autumn sixty have
enrolled, many of them with a degree they found no use for. The course lasts three years and ends
with a chair.

Lecturers' handwriting beats the chatbot
The faculty has gone back to oral examinations, saying that essays written at home no longer show
what undergraduates know. Tutors complain of the hours. Marks have fallen, and attendance has
risen.

Island's only school has one pupil left
She sits in the front row and is never asked to raise her hand. The teacher comes by boat on
Mondays. If no family with children moves in by spring, the authority will close it.

Parents queue overnight for nursery places
Folding chairs and flasks lined the street before the kindergarten opened its list. There are four
children for every place. The city says that it cannot find enough trained educators.

Nine in ten can read, up from half
Adults who never went to school have learned their letters at kitchen tables under a programme that
sends student volunteers to the villages. The literacy rate is now close to that of the
neighbouring countries, says the UN's education agency.

Ancient languages come back to the timetable
Latin vanished from state schools in the seventies. Now 200 offer it again at lunchtime, and the
classes are full. Teachers say that it helps with grammar, and pupils like the insults.

Headteacher tears down the fence
Now the schoolyard is open to the street in the afternoon. Pupils built benches in their woodwork
lessons.

Fees scrapped for trainee teachers
The state pays the course and a monthly allowance to those who promise five years in a village
classroom.

Spelling reform divides staff rooms
Some teachers mark the old form wrong, others both. The ministry says that exams will accept either
until 2031.
[weather]
First frost comes three weeks early
Gardeners woke to white lawns on Sunday as the mercury dropped to minus four in sheltered valleys.
Clear skies will bring another cold night, the bureau said, before cloud moves in from the west.

Gales to batter coast until Thursday
Gusts of 110 km/h are expected on exposed headlands, with waves of eight metres. Ferries may be
cancelled and drivers of high vehicles should take care. The wind will ease as the low moves away.

No rain in sight for the plains
The dry spell enters its seventh week with highs around 36 degrees. A ridge of high pressure is
blocking fronts from the ocean. Showers are possible on the mountains, but they will not reach the
fields.

Thunder, then sun: the outlook for the long weekend
Saturday starts humid, with storms breaking out in the afternoon and hail in places. It turns
fresher on Sunday, and by Monday most regions can expect blue skies and 24C.

Snow closes passes and delights skiers
Up to 60 centimetres fell overnight above 1,500 metres, more than at any time this winter. It will
stay below freezing until the weekend. Drivers need chains, and avalanche danger is high.

Fog grounds flights for a third morning
Visibility fell below 100 metres at dawn. Forecasters say that the mild, still air will hold the
murk in place until a breeze picks up tomorrow.

Driest winter since measurements began
Only 41 millimetres fell between December and February, a quarter of the normal amount, according
to the meteorological institute. It was also the third warmest. Farmers hope for a wet spring.

Hurricane weakens to a depression
Winds dropped to 55 km/h as the system moved inland, though it may still bring 200 mm of rain to
the hills by tomorrow night. Warnings for the southern coast have been lifted.

City bakes in hottest June night on record
The temperature never fell below 27 degrees. People slept on roofs and in parks. Relief will come
on Friday with a cool northerly and a chance of showers, the weather service said.

Sand from the desert turns sky orange
A southerly wind carried the dust across the sea on Tuesday. Rain later in the day will wash it out
and leave cars brown. Temperatures return to the seasonal average by the end of the week.

Sleet and slush for the evening rush hour
A band of rain turns to snow as it meets cold air over the middle of the country. Two to five
centimetres could settle on higher ground. Roads may be icy by morning, the forecaster warned.

After the deluge, a calm week
The front that dropped a month's rain in a day has moved off to the east. Pressure is rising,
nights will be chilly with mist along the rivers, and the sun returns from Wednesday.

Warm wind from the south melts the snow
Highs of 17 degrees are forecast for the foothills. Rivers will rise. From Friday it turns colder
again with sleet on the tops.

Cloudy August ends with record low for sunshine
Only 96 hours were measured, half the usual figure. It was wet in the north and cool everywhere.

Lightning and hail expected tonight
A line of storms will cross the lowlands between nine and midnight. Gusts could reach 90 km/h, the
met office warns.
[science-and-technology]
Octopus dreams leave a trace on its skin
Sleeping animals flash through the same patterns they show on a hunt, a team of zoologists reports.
Electrodes in the brain recorded bursts like those of waking hours. Whether that is dreaming no one
can say.

Rocket lands on a barge for the twentieth time
The booster had carried nine satellites into orbit. Its makers want to bring down the cost of a
launch by half. A rival plans the first flight of a reusable stage next year.

Bronze Age boat raised from lake bed
Divers freed the oak hull from two metres of silt. The wood is 3,400 years old, dating shows, and
the tool marks are as sharp as new. Conservators will keep it under water for years before it can
dry.

Email that writes itself
The assistant drafts replies from three words and learns its owner's tone. Engineers trained the
model on text that users agreed to share. Critics warn that nobody will know who is speaking.

Tooth rewrites the story of the first islanders
Proteins in the enamel show that people hunted there 60,000 years earlier than thought. The find
was made in a cave that had been searched three times. Not all colleagues are convinced by the
dating.

New battery charges in four minutes
The cell swaps graphite for a thin film of silicon and kept 90 per cent of its capacity after a
thousand cycles in the lab. Chemists caution that what works on a bench may fail in a car.

Comet brightens ahead of close pass
It can be seen without binoculars low in the west for about an hour after sunset. The tail, of gas
and dust, is millions of kilometres long. It last came by when mammoths walked the plains.

Millions of accounts exposed by careless cloud setting
Names, addresses and passwords lay open for eleven days before a researcher noticed. The company
closed the leak and told customers to change their logins. It is the third such breach this year.

Mathematician, 24, settles a puzzle from 1936
The proof is nine pages long and uses nothing that was not known then. Referees spent two months
looking for a mistake. She found the idea, she says, while waiting for a bus.

Robot learns to fold shirts by watching
Shown twenty videos, the machine managed towels at once and sleeves by the end of the day. The
group's trick is to let it fail in simulation first. Sorting socks remains beyond it.

Phones to reach satellites directly
The next generation of handsets will send texts from places without a mast. Tests in the desert
worked at low speed. Network operators are to pay by the message, and regulators must still free
the frequencies.

Volcano's breath measured from a drone
Geophysicists flew sensors through the plume and found that its mix of gases changes two days
before the ground starts to shake. If the pattern holds elsewhere, it may be used to predict
eruptions.

Spider silk spun without spiders
Bacteria were given the gene and made the protein in a vat. The thread is as strong as steel of the
same weight, biochemists write.

Old telescope gets new eyes
The mirror was recoated and a camera with three billion pixels fitted. Astronomers hope to map a
billion galaxies in ten years.

Update knocks out ticket machines
A faulty line of code stopped the terminals at midnight. Programmers needed six hours to roll the
software back.
"""

MAJOR_TOPICS = """\
[arts-culture-entertainment-and-media]
Opera house reopens with a piece about its own fire
The new work tells of the night in 1991 when the stage burned. The orchestra plays behind a curtain
of smoke, and the chorus enters from the street. Tickets sold out within an hour.

Streaming giant cancels space saga after two seasons
Viewers had fallen by half since the first episode. The lead actress thanked fans and said the
writers had known the ending all along.

Radio station fights to keep its licence
The broadcaster, known for its late-night satire, was told that it had breached rules on balance.
Editors and listeners gathered outside the regulator's office. Journalists' groups spoke of
pressure on the media.

Painter who never sold a canvas fills three museums
The retrospective brings together 140 pictures found in her flat. Critics speak of a major
discovery, and galleries of the kind that once sent her away are lending their walls.
[conflict-war-and-peace]
Shell hits market in besieged town
At least seventeen people died when the rounds landed among stalls on Saturday morning. The army
said it had aimed at a rebel position. Medics ran out of bandages.

Two sides swap prisoners on the bridge
Forty-eight captured soldiers walked across in each direction under the eyes of observers. It was
the first exchange since the fighting began in spring, and negotiators hope that a truce may
follow.

Navy fires warning shots in disputed strait
A patrol ship opened fire after vessels of the neighbouring state ignored calls to turn back. Both
countries have put their forces on alert.

Peace keepers leave valley after twelve years
The last blue helmets handed their base to the national army. Villagers fear that the militias will
be back before the rains.
[crime-law-and-justice]
Ring sold forged paintings to pensioners
Police arrested nine people in dawn raids on Tuesday. The suspects are accused of fraud worth 6
million euros. A judge ordered four of them held until trial.

Widow cleared of poisoning after 19 years in jail
The appeal judges said that the expert evidence had been worthless. Her lawyers will seek
compensation. The prosecutor's office apologised.

Teenager stabbed outside station
Detectives appealed for witnesses after a boy of 16 was attacked on Friday night. Two youths were
arrested on suspicion of attempted murder.

Judges strike down ban on night-time demonstrations
The constitutional court ruled that the law was too vague. Rights lawyers had brought the case on
behalf of three students who had been fined.
[disaster-accident-and-emergency-incident]
Bridge gives way under market-day traffic
Divers searched for a bus and several cars in the river. Eleven bodies have been recovered, and
hospitals have taken in thirty injured. Engineers had warned of cracks.

Cyclone flattens homes on outer islands
Rescue teams reached the last cut-off villages on Sunday. The death toll stands at 26, and some
8,000 people are in shelters without clean water.

Coach overturns on mountain road
Six passengers were killed and twenty hurt when the vehicle left the road in fog. Firefighters cut
survivors from the wreck.

Night blaze destroys warehouse of fireworks
Explosions were heard ten miles away. Residents of three streets were evacuated and four
firefighters were treated for burns.
[economy-business-and-finance]
Shipbuilder returns to profit on orders for ferries
Net income was 84 million in the second quarter after a loss a year before. The board proposes the
first dividend since 2019, and the stock gained 7%.

Coffee prices at a record as harvest disappoints
Futures for arabica rose for the ninth session. Roasters say they will pass the cost on to
consumers. Traders see little relief before spring.

Government sells last stake in national bank
The sale of 12 per cent raised 900 million euros. Investors had bid for three times the shares on
offer, the finance ministry said.

Discount airline to merge with rival
The combined carrier would fly 140 jets and hold a third of the domestic market. Analysts expect
the competition authority to ask for slots to be given up.
[health]
Surgeons sew tiny valve into unborn baby's heart
The operation took forty minutes, through a needle. Mother and child are well, the hospital said.
Cardiologists hope to help dozens of families a year.

Village clinic runs out of insulin
Diabetics have been told to share doses until supplies arrive. Doctors blame a dispute with the
distributor. The health ministry promised a delivery by Friday.

Cough that will not go away: cases up by half
Paediatricians see more infants with whooping cough than in any winter since vaccination began.
They advise pregnant women to get the booster.

Trial of tablet against obesity is a success
Patients lost a tenth of their weight in a year. Side effects were mild, mostly nausea, researchers
report. Regulators will decide on approval in autumn.
[politics]
Prime minister survives confidence vote by two
Four members of her own party voted with the opposition. She promised a reshuffle of the cabinet
before the summer recess.

Leaders leave climate of mistrust behind and sign border treaty
The two presidents met for the first time in a decade. Foreign ministers will exchange ambassadors
by the end of the month.

Voters go to the polls in divided republic
Turnout was high in the capital and low in the provinces. Early counts put the governing coalition
a few seats short of a majority.

Parliament opens inquiry into minister's trips
Deputies want to know who paid. He denies wrongdoing and says that he will not resign. The
president has asked for a report.
[sport]
Goalkeeper of 41 saves two penalties in cup final
She had come out of retirement when the first choice was injured. It is the club's first trophy
since 1988.

Downhill title decided by a hundredth
The skier from the smallest team on the circuit won her first race of the season. The favourite
fell at the last gate.

Sacked coach returns to beat his old side
Two goals in the last five minutes turned the match. The home fans applauded him off the pitch.

Marathon record falls by eleven seconds
The champion ran alone from the thirtieth kilometre. A headwind had kept the field together until
then.
"""

OTHER_LANGUAGES = """\
[de labour]
Busfahrer legen die Arbeit nieder
Nach dem Scheitern der Verhandlungen über höhere Löhne stehen die Busse am Freitag still. Die
Gewerkschaft verlangt vier Prozent mehr und kürzere Schichten, der Arbeitgeber nennt das
unbezahlbar.

Müllwerker machen Dienst nach Vorschrift
Sie klagen über zu wenig Personal und unbezahlte Überstunden. Der Betriebsrat spricht am Dienstag
mit der Leitung.
[de environment]
Der Biber kehrt an den Oberlauf zurück
Naturschützer haben drei Familien gezählt. Ihre Dämme halten das Wasser zurück, Libellen und
Amphibien siedeln sich an. Die Landesregierung will die Ufer unter Schutz stellen.

Aale steigen wieder auf
Über eine neue Fischtreppe gelangen die Jungtiere in die Teiche. Angler und Naturschützer zählten
Tausende.
[de human-interest]
Ehering nach vierzig Jahren im Acker gefunden
Die Rentnerin hatte ihn beim Kartoffelernten verloren. Ihr Enkel entdeckte ihn an einer Möhre. Sie
habe geweint vor Freude, sagte sie.

Papagei ruft die Feuerwehr
Der Vogel ahmte den Rauchmelder nach, eine Nachbarin wählte den Notruf. Die Besitzerin versprach
der Mannschaft einen Kuchen.
[de society]
Immer mehr Alte wohnen mit Studenten zusammen
Die jungen Leute zahlen keine Miete und helfen im Haushalt. Gegen die Einsamkeit helfe das mehr als
jedes Programm, sagt die Sozialarbeiterin. Viele Nachbarn wollen mitmachen.

Nachtbus wird zum Schlafplatz
Helfer verteilen Decken und Suppe an Obdachlose. Viele haben nach einer Scheidung die Wohnung
verloren.
[de lifestyle-and-leisure]
Tomaten auf dem Balkon
Ein tiefer Topf, ein Stab und sechs Stunden Sonne genügen. Die Triebe ausbrechen, morgens gießen
und die Blätter trocken lassen. Dazu passt ein Salat mit Basilikum.

Das perfekte Omelett
Drei Eier, ein Stück Butter und eine heiße Pfanne. Es schmeckt am besten sofort.
[de religion]
Nonnen verkaufen ihr Kloster
Die letzten vier Schwestern des Ordens ziehen um. Der Bischof dankte ihnen in der Messe. Gebetet
wird weiter um fünf Uhr früh.

Autobahnkapelle zieht Fernfahrer an
Sie zünden eine Kerze an und beten. Der Diakon sagt, viele kämen wieder.
[de education]
Handys bleiben vor dem Schultor
An dreihundert Schulen geben die Kinder ihre Geräte ab. Lehrerinnen berichten, auf dem Pausenhof
sei es wieder laut. Das Ministerium will die Regel prüfen.

Schulhof ohne Zaun
Nachmittags steht er allen offen. Die Schüler haben Bänke gebaut.
[de weather]
Erster Frost kommt früh
In den Tälern sank das Thermometer auf minus vier Grad. Am Montag ziehen von Westen Wolken auf,
dazu fällt etwas Regen. Die Nächte bleiben kalt.

Föhn bringt Tauwetter
Bis zu 17 Grad werden erwartet. Ab Freitag wird es wieder kälter.
[de science-and-technology]
Boot aus der Bronzezeit aus dem See gehoben
Taucher befreiten den Rumpf aus dem Schlamm. Das Holz ist 3400 Jahre alt, wie Archäologen mit einer
Datierung nachwiesen. Im Labor soll es konserviert werden.

Spinnenseide ohne Spinnen
Bakterien stellen das Protein her. Der Faden sei so fest wie Stahl, schreiben die Biochemiker.
[de politics]
Regierung verliert Abstimmung im Parlament
Zwei Abgeordnete der Koalition stimmten mit der Opposition. Der Kanzler kündigte einen neuen
Entwurf an.
[de economy-business-and-finance]
Maschinenbauer hebt Prognose an
Der Umsatz stieg im dritten Quartal um sechs Prozent. Die Aktie legte zu, Analysten hatten weniger
erwartet.
[de sport]
Torhüterin hält zwei Elfmeter im Finale
Für den Verein ist es der erste Pokal seit 1988. Die Trainerin lobte die Mannschaft.
[fr labour]
Les conducteurs de bus cessent le travail
Faute d'accord sur les salaires, aucun bus ne roulera vendredi. Le syndicat réclame une hausse de
quatre pour cent et des journées plus courtes ; la direction juge la demande irréaliste.

Les éboueurs font grève du zèle
Ils dénoncent le manque de personnel. La direction recevra leurs délégués mardi.
[fr environment]
Le castor revient dans la vallée
Des naturalistes ont compté trois familles. Leurs barrages retiennent l'eau et attirent libellules
et amphibiens. La région veut classer les berges en réserve.

Les anguilles remontent la rivière
Une passe à poissons leur ouvre les étangs. Pêcheurs et scientifiques en ont compté des milliers.
[fr human-interest]
Elle retrouve son alliance quarante ans après, autour d'une carotte
La grand-mère l'avait perdue dans son potager. Son petit-fils l'a découverte en arrachant un
légume. Elle en a pleuré de joie.

Un perroquet appelle les pompiers
L'oiseau imitait l'alarme, une voisine a composé le numéro d'urgence. Sa maîtresse a promis un
gâteau.
[fr society]
Des étudiants logés chez les plus âgés
Ils ne paient pas de loyer et donnent un peu de leur temps : les courses, une promenade. Contre
l'isolement, rien de mieux, dit une assistante sociale. Les voisins s'y mettent.

Un bus de nuit pour dormir
Des bénévoles distribuent soupe et couvertures aux sans abri. Beaucoup ont perdu leur logement
après un divorce.
[fr lifestyle-and-leisure]
Des tomates sur le balcon
Il suffit d'un grand pot, d'un tuteur et de six heures de soleil. Arrosez le matin, sans mouiller
les feuilles. À table, une salade au basilic.

L'omelette parfaite
Trois œufs, du beurre et une poêle chaude. À déguster aussitôt.
[fr religion]
Les religieuses quittent leur couvent
Les quatre dernières sœurs de l'ordre déménagent. L'évêque les a remerciées pendant la messe. Elles
prieront encore à cinq heures.

Une chapelle au bord de l'autoroute
Les routiers y allument un cierge et prient. Le diacre dit que beaucoup reviennent.
[fr education]
Le téléphone reste au portail
Dans trois cents collèges, les enfants déposent leur appareil à l'entrée. Les professeurs disent
que la cour est redevenue bruyante. Le ministère veut évaluer la règle.

Une cour sans grille
L'après-midi elle est ouverte à tous. Les élèves ont construit des bancs.
[fr weather]
Premières gelées précoces
Le thermomètre est descendu à moins quatre dans les vallées. Lundi, des nuages arrivent par l'ouest
avec un peu de pluie. Les nuits resteront froides.

Un vent chaud fait fondre la neige
On attend 17 degrés. Dès vendredi, le froid revient avec des averses.
[fr science-and-technology]
Un bateau de l'âge du bronze sorti du lac
Des plongeurs ont dégagé la coque de la vase. Le bois a 3 400 ans, selon les archéologues qui l'ont
daté. Il sera conservé en laboratoire.

De la soie sans araignée
Des bactéries fabriquent la protéine. Le fil est aussi solide que l'acier, selon les chimistes.
[fr politics]
Le gouvernement battu à l'Assemblée
Deux députés de la majorité ont voté avec l'opposition. Le Premier ministre annonce un nouveau
texte.
[fr economy-business-and-finance]
Le fabricant de machines relève ses prévisions
Son chiffre d'affaires a progressé de six pour cent au troisième trimestre. L'action a gagné du
terrain à la Bourse.
[fr sport]
Deux penaltys arrêtés en finale
La gardienne offre au club sa première coupe depuis 1988. L'entraîneuse a salué son équipe.
[es labour]
Los conductores de autobús paran el viernes
Sin acuerdo sobre los sueldos, no saldrá ningún autobús. El sindicato pide una subida del cuatro
por ciento y turnos más cortos; la empresa lo considera imposible.

Los basureros trabajan a reglamento
Denuncian la falta de personal. La dirección recibirá el martes a sus delegados sindicales.
[es environment]
El castor vuelve al valle
Los naturalistas han contado tres familias. Sus presas retienen el agua y atraen libélulas y
anfibios. La región quiere proteger las orillas como reserva.

Las anguilas remontan el río
Una escala de peces les abre las lagunas. Pescadores y científicos contaron miles.
[es human-interest]
Recupera su anillo de boda cuarenta años después, en una zanahoria
La abuela lo había perdido en el huerto. Su nieto lo encontró al arrancar la verdura. Lloró de
alegría, contó a los vecinos.

Un loro llama a los bomberos
El ave imitaba la alarma y una vecina marcó el número de emergencia. Su dueña prometió un pastel.
[es society]
Estudiantes que viven con mayores
No pagan alquiler y regalan tiempo: la compra, un paseo. Contra la soledad no hay nada mejor, dice
una trabajadora social. Muchos vecinos quieren sumarse.

Un autobús nocturno para dormir
Voluntarios reparten sopa y mantas a personas sin hogar. Muchos perdieron su piso tras un divorcio.
[es lifestyle-and-leisure]
Tomates en el balcón
Basta una maceta honda, una caña y seis horas de sol. Riegue por la mañana, sin mojar las hojas. En
la mesa, una ensalada con albahaca.

La tortilla perfecta
Tres huevos, mantequilla y una sartén caliente. Se come enseguida.
[es religion]
Las monjas dejan el convento
Las cuatro últimas hermanas de la orden se mudan. El obispo les dio las gracias en misa. Seguirán
rezando a las cinco.
[es education]
El teléfono se queda en la puerta
En trescientos institutos los chicos entregan el aparato al entrar. Los profesores dicen que el
patio vuelve a hacer ruido. El ministerio quiere evaluar la norma.
[es weather]
Primera helada temprana
El termómetro bajó a cuatro grados bajo cero en los valles. El lunes llegan nubes por el oeste con
algo de lluvia. Las noches seguirán frías.
[es science-and-technology]
Sacan del lago un barco de la Edad del Bronce
Los buzos liberaron el casco del fango. La madera tiene 3.400 años, según los arqueólogos que la
dataron. Se conservará en un laboratorio.
[es politics]
El Gobierno pierde una votación en el Congreso
Dos diputados de la mayoría votaron con la oposición. El presidente anuncia un nuevo texto.
[es economy-business-and-finance]
El fabricante de maquinaria eleva sus previsiones
La facturación creció un seis por ciento en el tercer trimestre. Las acciones subieron en la bolsa.
[es sport]
Para dos penaltis en la final
La portera da al club su primera copa desde 1988. La entrenadora felicitó al equipo.
[it labour]
Gli autisti degli autobus incrociano le braccia
Senza accordo sugli stipendi, venerdì non uscirà nessun mezzo. Il sindacato chiede un aumento del
quattro per cento e turni più brevi; per l'azienda è impossibile.

I netturbini lavorano a regolamento
Denunciano la carenza di personale. L'azienda incontrerà martedì i delegati sindacali.
[it environment]
Il castoro torna nella valle
I naturalisti hanno contato tre famiglie. Le dighe trattengono l'acqua e attirano libellule e
anfibi. La regione vuole proteggere le rive come riserva.

Le anguille risalgono il fiume
Una scala per i pesci apre loro gli stagni. Pescatori e scienziati ne hanno contate migliaia.
[it human-interest]
Ritrova la fede dopo quarant'anni, intorno a una carota
La nonna l'aveva persa nell'orto. Il nipote l'ha scoperta strappando la verdura. Ha pianto di
gioia, ha raccontato ai vicini.
[it society]
Studenti a casa degli anziani
Non pagano l'affitto e regalano tempo: la spesa, una passeggiata. Contro la solitudine non c'è di
meglio, dice un'assistente sociale. Molti vicini vogliono partecipare.

Un autobus notturno per dormire
Volontari distribuiscono zuppa e coperte ai senzatetto. Molti hanno perso la casa dopo un divorzio.
[it lifestyle-and-leisure]
Pomodori sul balcone
Bastano un vaso profondo, una canna e sei ore di sole. Annaffiate al mattino, senza bagnare le
foglie. In tavola, un'insalata con il basilico.
[it religion]
Le suore lasciano il convento
Le ultime quattro sorelle dell'ordine si trasferiscono. Il vescovo le ha ringraziate durante la
messa. Pregheranno ancora alle cinque.
[it education]
Il telefono resta al cancello
In trecento scuole i ragazzi consegnano l'apparecchio all'ingresso. Gli insegnanti dicono che il
cortile è tornato rumoroso. Il ministero vuole valutare la regola.
[it weather]
Prima gelata precoce
Il termometro è sceso a quattro gradi sotto zero nelle valli. Lunedì arrivano nubi da ovest con un
po' di pioggia. Le notti resteranno fredde.
[it science-and-technology]
Una barca dell'età del bronzo emerge dal lago
I sommozzatori hanno liberato lo scafo dal fango. Il legno ha 3.400 anni, secondo gli archeologi
che l'hanno datato. Sarà conservato in laboratorio.
[it politics]
Il governo battuto in Parlamento
Due deputati della maggioranza hanno votato con l'opposizione. Il premier annuncia un nuovo testo.
[it economy-business-and-finance]
Il produttore di macchine alza le stime
Il fatturato è cresciuto del sei per cento nel terzo trimestre. Il titolo è salito in borsa.
[it sport]
Due rigori parati in finale
La portiera regala al club la prima coppa dal 1988. L'allenatrice ha lodato la squadra.
[pt labour]
Motoristas de ônibus param na sexta
Sem acordo sobre os salários, nenhum ônibus sairá. O sindicato pede aumento de quatro por cento e
turnos mais curtos; a empresa diz que é impossível.

Garis trabalham só o que manda o contrato
Denunciam a falta de pessoal. A direção recebe na terça os delegados do sindicato.
[pt environment]
O castor volta ao vale
Os naturalistas contaram três famílias. As represas seguram a água e atraem libélulas e anfíbios. A
região quer proteger as margens como reserva.

Enguias voltam a subir o rio
Uma escada de peixes abre as lagoas. Pescadores e cientistas contaram milhares.
[pt human-interest]
Aliança aparece quarenta anos depois, em volta de uma cenoura
A avó a tinha perdido na horta. O neto a descobriu ao arrancar o legume. Ela chorou de alegria,
contou aos vizinhos.
[pt society]
Estudantes moram com idosos
Não pagam aluguel e dão tempo: as compras, um passeio. Contra a solidão não há nada melhor, diz uma
assistente social. Muitos vizinhos querem participar.

Um ônibus noturno para dormir
Voluntários distribuem sopa e cobertores a moradores de rua. Muitos perderam a casa depois de um
divórcio.
[pt lifestyle-and-leisure]
Tomates na varanda
Basta um vaso fundo, uma estaca e seis horas de sol. Regue de manhã, sem molhar as folhas. À mesa,
uma salada com manjericão.
[pt religion]
As freiras deixam o convento
As quatro últimas irmãs da ordem mudam-se. O bispo agradeceu-lhes na missa. Continuarão a rezar às
cinco.
[pt education]
O telefone fica no portão
Em trezentas escolas as crianças entregam o aparelho à entrada. Os professores dizem que o recreio
voltou a ser barulhento. O ministério quer avaliar a regra.
[pt weather]
Primeira geada chega cedo
O termômetro desceu a quatro graus negativos nos vales. Na segunda chegam nuvens do oeste com
alguma chuva. As noites continuam frias.
[pt science-and-technology]
Barco da Idade do Bronze é tirado do lago
Mergulhadores soltaram o casco da lama. A madeira tem 3.400 anos, segundo os arqueólogos que a
dataram. Será conservada em laboratório.
[pt politics]
Governo perde votação no Parlamento
Dois deputados da maioria votaram com a oposição. O primeiro-ministro anuncia um novo texto.
[pt economy-business-and-finance]
Fabricante de máquinas eleva previsões
A receita cresceu seis por cento no terceiro trimestre. As ações subiram na bolsa.
[pt sport]
Duas defesas de pênalti na final
A goleira dá ao clube a primeira taça desde 1988. A treinadora elogiou a equipe.
[ar labour]
سائقو الحافلات يتوقفون عن العمل
لم يتفق الطرفان على الرواتب. تطالب النقابة بزيادة أربعة في المئة وبساعات عمل أقصر.

عمال النظافة يطالبون بأجور أفضل
يشكون من نقص الموظفين وساعات إضافية بلا مقابل.
[ar environment]
القندس يعود إلى الوادي
أحصى خبراء البيئة ثلاث عائلات من هذا الحيوان. السدود التي يبنيها تحفظ المياه وتجذب الطيور، وتريد
المنطقة حماية الضفاف.

الأسماك تعود إلى النهر
ممر جديد عبر السد يفتح لها البحيرات. عد الصيادون الآلاف.
[ar human-interest]
جدة تعثر على خاتم زواجها بعد أربعين عاما
وجده الحفيد حول جزرة في الحقل. بكت من الفرح وروت القصة للجيران.
[ar society]
طلبة يسكنون مع المسنين
لا يدفعون إيجارا ويساعدون في التسوق. تقول أخصائية اجتماعية إن ذلك يخفف الوحدة عن كبار السن.

حافلة ليلية مأوى للمشردين
متطوعون يوزعون الحساء والأغطية على الفقراء.
[ar lifestyle-and-leisure]
طماطم على الشرفة
يكفي أصيص عميق وست ساعات من الشمس. اسق النباتات صباحا، وقدم السلطة مع الريحان على المائدة.
[ar religion]
الراهبات يغادرن الدير
تنتقل الراهبات الأربع الأخيرات إلى بيت جديد. شكرهن الأسقف خلال القداس.
[ar education]
الهاتف يبقى عند باب المدرسة
يسلم التلاميذ أجهزتهم في الصباح. يقول المعلمون إن الساحة عادت صاخبة.
[ar weather]
الصقيع يأتي مبكرا
انخفضت الحرارة إلى أربع درجات تحت الصفر. تصل الغيوم من الغرب مع أمطار خفيفة.
[ar science-and-technology]
انتشال قارب من العصر البرونزي
عمر الخشب 3400 عام بحسب علماء الآثار الذين فحصوه في المختبر.
[ar politics]
الحكومة تخسر تصويتا في البرلمان
صوت نائبان مع المعارضة، وأعلن رئيس الوزراء مشروعا جديدا.
[ar economy-business-and-finance]
شركة ترفع توقعاتها
زادت المبيعات ستة في المئة وارتفعت الأسهم في البورصة.
[ar sport]
حارسة تتصدى لركلتي جزاء في النهائي
هو أول كأس للنادي منذ 1988. أشادت المدربة بالفريق.
"""

# What is no news: a line that says what it is, then the text.
NO_NEWS = """\
terms
By continuing to use the service you agree to these terms. We may change them at any time. Nothing
in this section limits the rights that you have where you live. Words in the singular include the
plural.

fiction
She put the lamp on the sill and waited. The house was quiet. Somewhere below a door closed, and
she thought of the boy who used to run up the stairs two at a time, out of breath, with something
hidden behind his back.

readme
Clone the repository, create a virtual environment and run make. The flag --verbose prints each
step. If the build stops with an import error, delete the cache folder and try again. Pull requests
are welcome.

code
def merge(left, right): result = [] while left and right: result.append(left.pop(0) if left[0] <
right[0] else right.pop(0)) return result + left + right

log
INFO 12:03:11 worker started; INFO 12:03:12 queue length 4; WARN 12:03:19 retry 1 of 3; ERROR
12:03:25 timeout after 5000 ms; INFO 12:03:26 shutting down

chat
ok see you at seven then, I'll bring the other one. no the blue one. haha. did you tell him? he
said he'd be late again, as always

lorem
Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore
et dolore magna aliqua.

poem
The grey gull goes where no one goes, and what he knows he never shows; I ask the sand, I ask the
stone, and walk the long way back alone.

cookie
We and our partners store and access information on a device, such as cookies, to personalise
content and measure how you use this site. You can accept, reject or manage your choices at any
time.

manual
Turn the dial to the left until it clicks. Lift the lid, remove the tray and wipe it with a soft
cloth. Do not put it in water. The light goes out when the unit is ready.

letter
Dear Sir or Madam, with reference to your letter of the 4th, please find enclosed the two forms you
asked for. I should be grateful if you would confirm that they have arrived. Yours faithfully

maths
Let f be continuous on the closed interval and let c lie between f(a) and f(b). Then there is a
point x with f(x) = c. Suppose not; then the interval splits into two open sets, which contradicts
that it is connected.

address
Room 14, second floor, left at the top of the stairs. Ring twice. Deliveries to the back door,
please, before noon.

product
Soft on both sides, with a strong handle and two pockets. Measures 40 by 30 centimetres. Available
in red, green and grey. Wash at thirty degrees. Sent within two days.

about
We are a small group of people who like to make things that last. Write to us if you have a
question; we answer every message, though not always on the same day.

navigation
Home About us Contact Sign in Register My account Search Menu Back to top Read more Load more Next
Previous Share Print Subscribe
"""


def snippets(text: str) -> dict[str, list[tuple[str, str]]]:
    """Read a block such as ``MINOR_TOPICS`` into (title, body) pairs by heading."""
    found: dict[str, list[tuple[str, str]]] = {}
    for part in text.strip().split("["):
        heading, _, rest = part.partition("]\n")
        for paragraph in rest.strip().split("\n\n") if rest else []:
            title, _, body = paragraph.partition("\n")
            found.setdefault(heading, []).append((title, body))
    return found


MINOR = snippets(MINOR_TOPICS)
MAJOR = snippets(MAJOR_TOPICS)
OTHER = snippets(OTHER_LANGUAGES)
TEXTS_WITHOUT_NEWS = [tuple(text.split("\n", 1)) for text in NO_NEWS.strip().split("\n\n")]
LEAST_RIGHT = {"human-interest": 0.4}
"""Share of the snippets of a minor concept that must come out right, where it is less than .75:
news of this kind is told in the words of any other."""


def best(title: str | None, body: str, language: str | None = "en", **evidence: object) -> str:
    return classify_topics(MODEL, title, body, language, **evidence).best  # type: ignore[arg-type]


@pytest.mark.parametrize("slug", SNIPPETS)
def test_most_snippets_of_each_concept_are_recognised(slug: str) -> None:
    found = [best(title, body) for title, body in SNIPPETS[slug]]
    assert found.count(slug) >= 4, found


def right(pairs: list[tuple[str, str]], slug: str, language: str = "en") -> float:
    return sum(best(title, body, language) == slug for title, body in pairs) / len(pairs)


@pytest.mark.parametrize("slug", MINOR)
def test_minor_concepts_hold_against_the_words_of_the_big_ones(slug: str) -> None:
    assert len(MINOR[slug]) >= 10
    assert right(MINOR[slug], slug) >= LEAST_RIGHT.get(slug, 0.75)


@pytest.mark.parametrize("slug", MAJOR)
def test_major_concepts_lose_nothing_to_the_minor_ones(slug: str) -> None:
    assert right(MAJOR[slug], slug) == 1


@pytest.mark.parametrize("language", ["ar", "de", "es", "fr", "it", "pt"])
def test_most_snippets_in_other_languages_are_recognised(language: str) -> None:
    shares = [
        right(pairs, heading.split()[1], language)
        for heading, pairs in OTHER.items()
        if heading.startswith(language)
    ]
    assert sum(shares) / len(shares) >= 0.8


@pytest.mark.parametrize(("_what", "text"), TEXTS_WITHOUT_NEWS)
def test_what_is_no_news_is_no_confident_topic(_what: str, text: str) -> None:
    scores = classify_topics(MODEL, None, text, "en")
    assert scores.best == UNCLASSIFIED or scores.topics[0].score < 0.4


def test_one_telling_word_is_less_sure_than_several() -> None:
    [one] = [t for t in classify_topics(MODEL, None, "vaccine", "en").topics if t.slug == "health"]
    more = classify_topics(MODEL, None, "vaccine hospital patient doctor clinic", "en").topics[0]
    assert more.slug == "health"
    assert one.score < more.score / 2


def test_a_team_is_told_from_the_animals_by_its_capital() -> None:
    assert best(None, "The Dolphins and the Eagles met again.") == "sport"
    assert best(None, "The dolphins and the eagles met again.") != "sport"


def test_the_model_has_a_version() -> None:
    assert re.fullmatch(r"newsbeam-lexicon==\d+", MODEL_VERSION)


def test_the_model_knows_the_seventeen_concepts() -> None:
    assert len(MODEL.concepts) == 17
    assert {concept.slug for concept in MODEL.concepts} == set(SNIPPETS)


def test_a_slug_is_the_name_in_lower_case_joined_by_hyphens() -> None:
    assert slug_of("crime, law and justice") == "crime-law-and-justice"


@pytest.mark.parametrize(
    ("title", "body"),
    [
        (
            "Envoys of three powers disagree over deployment",
            "Talks between deputy foreign ministers on normalising ties ended without result. The "
            "delegation insisted on sovereignty and the withdrawal of troops from the north.",
        ),
        (
            "Capital frustrated by neighbour's reluctance to rein in militias",
            "The prime minister cautioned party leaders that armed factions who attack from the "
            "country's soil could draw it into a war. Washington had warned of strikes.",
        ),
        (
            "Foreign minister's visit focuses on security",
            "The two governments will work together against remnants of the Islamist group. "
            "Relations have been strained since rebels toppled the president.",
        ),
        (
            "Army sends new column to observation posts after talks",
            "Armoured vehicles crossed the border on Friday although both sides had agreed to "
            "withdraw heavy weapons from the de-escalation zone.",
        ),
    ],
)
def test_war_and_diplomacy_are_conflict_or_politics(title: str, body: str) -> None:
    assert best(title, body) in {"conflict-war-and-peace", "politics"}


def test_a_text_without_any_telling_word_is_unclassified_and_says_why() -> None:
    scores = classify_topics(MODEL, None, "Hello there. It is what it is.", "en")
    assert (scores.topics, scores.best) == ((), UNCLASSIFIED)
    assert scores.note == "no term of any topic"


def test_a_weak_hint_alone_is_not_enough() -> None:
    scores = classify_topics(MODEL, None, "It happened again this afternoon, over there.", "en")
    assert scores.best == UNCLASSIFIED
    assert "below" in scores.note


def test_a_language_without_lexicon_is_unclassified_and_says_so() -> None:
    scores = classify_topics(MODEL, "Jalkapalloa", "Ottelu päättyi tasan eilen illalla.", "fi")
    assert scores.best == UNCLASSIFIED
    assert "no lexicon for language 'fi'" in scores.note


@pytest.mark.parametrize(
    ("language", "title", "body", "slug"),
    [
        (
            "ar",
            "مبعوث يبحث سحب القوات",
            "قال الوزير إن المحادثات تناولت السيادة والعلاقات.",
            "politics",
        ),
        ("ar", "الفريق يفوز", "سجل اللاعب هدفين في المباراة.", "sport"),
        ("de", "Landtag lehnt Gesetzentwurf ab", "Die Koalition verlor zwei Stimmen.", "politics"),
        ("es", "Huelga de trenes", "Los sindicatos piden mejores salarios.", "labour"),
        ("fr", "L’école rouvre", "Les élèves retrouvent l’enseignante lundi.", "education"),
        ("it", "Scossa nella notte", "Il terremoto ha fatto crollare case, sfollati.", DISASTER),
        ("pt", "Vacina chega ao interior", "Os médicos do hospital esperam doses.", "health"),
    ],
)
def test_six_more_languages_have_a_small_lexicon(
    language: str, title: str, body: str, slug: str
) -> None:
    assert best(title, body, language) == slug


def test_the_section_speaks_for_a_text_in_any_language() -> None:
    assert best("Otsikko", "Ottelu päättyi tasan.", "fi", section="Sport") == "sport"


def test_a_tag_that_names_a_media_topic_speaks_for_its_top_level_concept() -> None:
    assert best(None, "…", "fi", tags=["Peace talks"]) == "conflict-war-and-peace"
    assert best(None, "…", "fi", tags=["medtop:20000344"]) == "economy-business-and-finance"


def test_the_section_decides_between_topics_that_the_text_leaves_open() -> None:
    body = "The minister met the team and its coach."
    assert best(None, body, section="Politics") == "politics"
    assert best(None, body, section="Sports") == "sport"


def test_an_unknown_section_changes_nothing() -> None:
    title, body = SNIPPETS["sport"][0]
    with_section = classify_topics(MODEL, title, body, "en", section="Zzyzx")
    assert with_section == classify_topics(MODEL, title, body, "en")


def test_region_and_case_of_the_language_tag_do_not_matter() -> None:
    title, body = SNIPPETS["health"][0]
    assert best(title, body, "en-GB") == best(title, body, "EN") == best(title, body, None)


def test_capitals_tell_the_health_organisation_from_the_pronoun() -> None:
    assert best(None, "WHO, WHO. And they, they.") == "health"
    assert best(None, "Who, who. And they, they.") == UNCLASSIFIED


def test_a_title_in_capitals_is_read_as_words() -> None:
    assert best("STRIKER WHO SCORED IT", "…") == "sport"


def test_the_longest_term_wins_so_that_its_words_do_not_count_alone() -> None:
    lexicon = build_lexicon("en", [("war", 0, 3.0), ("price war", -1, 0.0)])
    assert lexicon.phrases["price"][0][0] == ("price", "war")
    assert lexicon.weights[lexicon.phrases["price"][0][1]] == ()


def test_a_term_of_two_concepts_counts_less_for_each() -> None:
    lexicon = build_lexicon("en", [("pitch", 0, 2.0), ("pitch", 1, 2.0)])
    ((first, second),) = lexicon.weights
    assert (first[0], second[0]) == (0, 1)
    assert first[1] == second[1] == pytest.approx(2 * 0.5**0.5)


def test_plural_and_singular_are_one_term_unless_a_form_is_pinned() -> None:
    lexicon = build_lexicon("en", [("giant", 0, 1.0), ("=giants", 1, 3.0), ("parties", 2, 1.0)])
    assert set(lexicon.words) == {"giant", "giants", "party"}


def test_a_form_pinned_with_a_capital_matches_only_with_it() -> None:
    lexicon = build_lexicon("en", [("=Giants", 0, 3.0)])
    assert set(lexicon.words) == {"Giants"}


@pytest.mark.parametrize(
    ("word", "normal"),
    [
        ("Elections", "election"),
        ("stories", "story"),
        ("matches", "match"),
        ("glass", "glass"),
        ("virus", "virus"),
        ("crisis", "crisis"),
        ("minister’s", "minister"),
        ("6–4", "#score"),
    ],
)
def test_english_words_lose_plural_and_possessive(word: str, normal: str) -> None:
    assert normalise_word(word, "en") == normal


def test_an_arabic_noun_is_found_with_its_joined_particles() -> None:
    forms = ["حكومة", "الحكومة", "والحكومة", "للحكومة", "بالحكومة"]
    assert len({normalise_word(form, "ar") for form in forms}) == 1


def test_a_short_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'war\*' has fewer than 4 letters"):
        build_lexicon("en", [("war*", 0, 1.0)])


def test_a_term_file_with_an_unknown_concept_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"line 2: no concept has the slug '\[sprot\]'"):
        parse_terms("# sport\n[sprot]\n1: ball", {"sport": 0})


def test_terms_before_the_first_concept_are_refused() -> None:
    with pytest.raises(ValueError, match="line 1: terms before the first"):
        parse_terms("1: ball", {"sport": 0})


def test_a_term_broken_over_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="line 3: the line before does not end in a comma"):
        parse_terms("[sport]\n2: ball, table\n   tennis", {"sport": 0})


def test_a_line_without_weight_continues_the_one_above() -> None:
    assert parse_terms("[sport]\n2: ball,\n   bat", {"sport": 0}) == [
        ("ball", 0, 2.0),
        ("bat", 0, 2.0),
    ]


def test_the_model_travels_to_workers() -> None:
    assert pickle.loads(pickle.dumps(MODEL)) == MODEL


NEWS = st.sampled_from([pair for pairs in SNIPPETS.values() for pair in pairs])
PROSE = st.text(max_size=300) | NEWS.map(" ".join)


@given(title=st.none() | PROSE, body=PROSE, tags=st.lists(PROSE, max_size=2), section=PROSE)
@example(title="", body="", tags=[], section="")
def test_scores_are_shares_in_falling_order(
    title: str | None, body: str, tags: list[str], section: str
) -> None:
    scores = classify_topics(MODEL, title, body, None, tags, section)
    values = [topic.score for topic in scores.topics]
    assert values == sorted(values, reverse=True)
    assert all(REPORTED_SCORE <= value <= 1 for value in values)
    assert sum(values) <= 1.001
    if scores.best == UNCLASSIFIED:
        assert scores.note
    else:
        assert scores.best == scores.topics[0].slug
        assert not scores.note


@given(first=NEWS, others=st.lists(NEWS, max_size=3))
def test_what_was_classified_before_does_not_matter(
    first: tuple[str, str], others: list[tuple[str, str]]
) -> None:
    alone = classify_topics(MODEL, *first, "en")
    for title, body in others:
        classify_topics(MODEL, title, body, "en")
    assert classify_topics(MODEL, *first, "en") == alone
